"""Folders of replicas: by rank, never two in one, never more than there were replicas at once."""

from pathlib import Path

from warmturn_server.data_dir import lock_data_dir
from warmturn_server.ray.data_folder import replica_folder


def test_the_next_one_of_a_rank_finds_what_the_last_one_left(tmp_path: Path) -> None:
    lock = lock_data_dir(replica_folder(tmp_path, 3))
    lock.close()
    assert replica_folder(tmp_path, 3) == tmp_path / "replica-3"


def test_while_one_still_drains_its_follower_takes_the_first_that_is_free(tmp_path: Path) -> None:
    folders = []
    locks = []
    for rank in (0, 1, 0, 0, 1):
        folders.append(replica_folder(tmp_path, rank))
        locks.append(lock_data_dir(folders[-1]))
    assert [folder.name for folder in folders] == [f"replica-{number}" for number in range(5)]
    for lock in locks:
        lock.close()
    assert replica_folder(tmp_path, 1) == tmp_path / "replica-1"


def test_models_that_were_pulled_are_everybodys(tmp_path: Path) -> None:
    (tmp_path / "models" / "smollm2").mkdir(parents=True)
    for _ in range(2):
        assert (replica_folder(tmp_path, 0) / "models" / "smollm2").is_dir()
    lock_data_dir(tmp_path / "replica-0").close()
