"""Whether the processor has AES is read from its own description, once."""

from pathlib import Path

import pytest

from sshkit.client.processor import ENOUGH, has_fast_aes

X86 = "processor\t: 0\nvendor_id\t: X\nflags\t\t: fpu sse2 pclmulqdq{} xsave\nbogomips: 1\n"
ARM = "processor\t: 0\nBogoMIPS\t: 50.00\nFeatures\t: fp asimd{} pmull sha1\n"


@pytest.mark.parametrize("text", [X86, ARM], ids=["x86", "arm"])
@pytest.mark.parametrize("aes", [True, False])
def test_the_flags_of_the_first_processor_decide(tmp_path: Path, text: str, aes: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(text.format(" aes" if aes else "") * 100)
    has_fast_aes.cache_clear()
    assert has_fast_aes(str(path)) is aes
    has_fast_aes.cache_clear()


@pytest.mark.parametrize("text", [None, "", "x" * ENOUGH + "\nflags: fpu\n"])
def test_where_it_cannot_be_found_out_aes_is_taken_to_be_fast(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "cpuinfo"
    if text is not None:
        path.write_text(text)
    has_fast_aes.cache_clear()
    assert has_fast_aes(str(path)) is True
    has_fast_aes.cache_clear()
