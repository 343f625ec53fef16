"""Weight files of the Hugging Face Hub, and their place on this machine."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from headstart.backbones.weights.preprocessing.json_preprocessing import FILES as CONFIGS
from headstart.backbones.weights.weights_address import OnHub
from headstart.types import UserError

log = logging.getLogger(__name__)
KINDS = ((".safetensors",), (".bin", ".pth", ".pt", ".ckpt"))  # files of weights; where there are both, the first count
# what training leaves beside a model
BESIDES = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.bin", "scheduler.pt", "scaler.pt")


def from_hub(place: OnHub) -> tuple[Path, str]:
    """The file in the hub's own cache (HF_HOME), downloaded if it is not there, and its URL, which names the commit.

    Without network it is what lies in the cache, where place says which file. Raises UserError where huggingface_hub
    is not installed, there is no such repository, revision or file, it is not for everyone, or it is not in the cache
    and there is no network.
    """
    try:
        hub: Any = import_module("huggingface_hub")
        errors: Any = import_module("huggingface_hub.errors")
        bars: Any = import_module("huggingface_hub.utils")
        _ = (
            hub.HfApi,
            hub.hf_hub_download,
        )  # now, as each import sets the level of its logger anew
    except ImportError as error:
        raise UserError(
            f"hf://{place.repo} needs huggingface_hub, which is not installed: pip install 'headstart[hub]'"
        ) from error
    log.info("asking the hub for %s", place.repo)
    try:
        with quiet_hub(bars):
            name = place.file or the_weights(_files(hub, place), place.repo)
            path = Path(hub.hf_hub_download(place.repo, name, revision=place.revision))
            for beside in CONFIGS:  # what says the preprocessing, into the same folder
                with suppress(Exception):  # most repositories have one of them
                    hub.hf_hub_download(place.repo, beside, revision=place.revision)
    except UserError:
        raise
    except Exception as error:  # each version of the client has another HTTP library with errors of its own
        raise UserError(_told(errors, error, hub, place)) from error
    commit = path.parts[path.parts.index("snapshots") + 1]  # the documented layout of its cache
    return path, hub.hf_hub_url(place.repo, name, revision=commit)


def the_weights(files: Sequence[str], repo: str) -> str:
    """The one file of weights among these. Raises UserError where there is none, or several of one kind."""
    for suffixes in KINDS:
        weight_files = [file for file in files if file.endswith(suffixes) and file.rpartition("/")[2] not in BESIDES]
        if len(weight_files) == 1:
            return weight_files[0]
        if weight_files:
            raise UserError(
                f"{repo} has {len(weight_files)} files of weights: {', '.join(sorted(weight_files)[:8])}"
                f"{', ...' if len(weight_files) > 8 else ''}; choose one: weights.path=hf://{repo}/{sorted(weight_files)[0]}"
            )
    raise UserError(
        f"{repo} has no file of weights ({', '.join(suffix for suffixes in KINDS for suffix in suffixes)}), it has "
        f"{', '.join(sorted(files)[:8]) or 'no files'}"
    )


def _files(hub: Any, place: OnHub) -> list[str]:
    """What a repository holds. The cache does not tell, which may hold a part of it."""
    return list(hub.HfApi().list_repo_files(place.repo, revision=place.revision))


def _told(errors: Any, error: Exception, hub: Any, place: OnHub) -> str:
    """What went wrong, and what to do."""
    revision = f" at {place.revision}" if place.revision else ""
    asked = f"hf://{place.repo}{f'/{place.file}' if place.file else ''}"
    if isinstance(error, errors.GatedRepoError):
        return f"{asked} is for those who have accepted its terms; do so on its page, then log in by `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the hub has no {place.repo} that you may see; is it spelt so? If it is private: `hf auth login`"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{place.repo} has no revision {place.revision}; leave @{place.revision} away for its main branch"
    if isinstance(error, errors.EntryNotFoundError) and not isinstance(error, errors.LocalEntryNotFoundError):
        try:
            file_list = ", ".join(sorted(_files(hub, place))[:8])
        except Exception:
            file_list = "others"
        return f"{place.repo} has no file {place.file}{revision}; it has {file_list}"
    why = " ".join(str(error).split()) or type(error).__name__
    if place.file is None:
        return (
            f"cannot ask what {asked}{revision} holds ({why}); without network name the file, and it is taken from the "
            f"hub's cache, if it is there: weights.path=hf://{place.repo}/model.safetensors"
        )
    return (
        f"cannot download {asked}{revision} ({why}); without network download the file elsewhere, and give it by "
        "weights.path=<the file>"
    )


@contextmanager
def quiet_hub(bars: Any) -> Iterator[None]:
    """No progress bars in files of logs, and no lines about each retry: how it ended is told.

    Args:
        bars: The module huggingface_hub.utils.
    """
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.ERROR)
    hides = not sys.stderr.isatty() and not bars.are_progress_bars_disabled()
    if hides:
        bars.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if hides:
            bars.enable_progress_bars()
