"""The seal: the list of held-out pictures, by the hash of their bytes, that training refuses to learn from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from likeness.dataset.collect import LABELLED
from likeness.dataset.labels import Label
from likeness.errors import WorkspaceError
from likeness.records import Picture, write_atomically

__all__ = ["read_seal", "taken_back", "write_seal"]


def write_seal(path: Path, pictures: Sequence[Picture], before: frozenset[str] = frozenset()) -> None:
    """`path` holds the ids of the held-out pictures, and a hash over all of them.

    What was sealed before stays so, though a curation between should have rejected it, until it is to be trained on.

    Args:
        pictures: the records.
        before: ids that were sealed before.

    Raises:
        WorkspaceError: on a full disk or in a read-only folder.
    """
    held, trained = ({one.id for one in pictures if one.use == use} for use in ("held-out", "train"))
    ids = sorted(held | (before - trained))
    write_atomically(path, json.dumps({"held_out": ids, "sha256": _digest(ids)}, indent=1) + "\n")


def taken_back(previous: Sequence[Picture], labels: Mapping[str, Label]) -> frozenset[str]:
    """The ids of pictures that were held out by a label that is gone: nothing holds them any more.

    Args:
        previous: the records of the last curation.
        labels: what a person says now, by path.
    """
    held = {one.path: one.id for one in previous if one.use == "held-out" and one.reason == LABELLED}
    said = {path for path, label in labels.items() if label.use}
    return frozenset(id for path, id in held.items() if path not in said)


def read_seal(path: Path) -> frozenset[str]:
    """The ids of the held-out pictures; none where nothing was sealed.

    Raises:
        WorkspaceError: where the list was changed since it was sealed.
    """
    try:
        told = json.loads(path.read_bytes())
        ids = told["held_out"]
        is_whole = told["sha256"] == _digest(ids)
    except FileNotFoundError:
        return frozenset()
    except (ValueError, KeyError, TypeError):
        ids, is_whole = [], False
    except OSError as fault:
        raise WorkspaceError.of(path, fault) from fault
    if not is_whole:
        raise WorkspaceError(
            f"{path} was changed since curation sealed it. To train on a held-out picture, say so: likeness label "
            f"{path.parent} PICTURE use=train. Then curate again; delete the file if that says the same."
        )
    return frozenset(ids)


def _digest(ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode()).hexdigest()
