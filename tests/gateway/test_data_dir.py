from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.data_dir import claimed
from storage.ports import StorageUnavailable


def test_a_directory_is_made_private(tmp_path: Path) -> None:
    with claimed(tmp_path / "var"):
        assert (tmp_path / "var").stat().st_mode & 0o077 == 0


def test_a_second_gateway_on_the_same_directory_is_told_so(tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(StorageUnavailable, match="Another gateway"), claimed(tmp_path):
        pass


def test_it_is_free_again_after_a_process_was_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from gateway.data_dir import claimed\n"
        "with claimed(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    with pytest.raises(StorageUnavailable), claimed(tmp_path):
        pass
    holder.kill()
    holder.wait(10)
    holder.stdout.close()
    with claimed(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable, match="--data-dir"), claimed(tmp_path / "file" / "var"):
        pass
