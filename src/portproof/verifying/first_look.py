"""A look at a stranger's graphs before anything runs: what reaches beyond numbers is refused."""

import mmap
import re
from collections.abc import Iterator
from pathlib import Path

from portproof.bundle.bundle import Bundle
from portproof.bundle.errors import BundleError

# TensorFlow's ops of files, of the network and of Python (tensorflow/core/ops/*.cc). Not those that
# save and restore variables: every SavedModel has them, for itself.
_OPS = (
    "WriteFile|ReadFile|MatchingFiles|InitializeTableFromTextFile(?:V2)?|LMDBReader"
    "|(?:WholeFile|TextLine|FixedLengthRecord|TFRecord|Identity)Reader(?:V2)?"
    "|(?:TextLine|TFRecord|FixedLengthRecord|Cache|Snapshot|Save|Load|Csv|Sql|LMDB|Generator"
    "|DataService)Dataset(?:V[234])?"
    "|CreateSummary(?:File|Db)Writer|PrintV2|DebugIdentity(?:V[23])?|DumpTensorEvent"
    "|PyFunc(?:Stateless)?|EagerPyFunc|Rpc(?:Client|Server|Call)?|TryRpc|RemoteCall|_?(?:Host)?(?:Send|Recv)"
    "|RegisterDataset(?:V2)?|BigQueryReader|ImmutableConst|RecordInput|LoadAndRemapMatrix"
    "|GenerateVocabRemapping|DebugNanCount|DebugNumericSummary(?:V2)?"
)
# In a protobuf a string is as it is, behind a number for its length: a scan finds each of them.
_NAMED = re.compile(b"(?:" + _OPS.encode() + b")")


def check_ops(bundle: Bundle) -> None:
    """Raise BundleError where a SavedModel of a bundle has ops of files, network or Python."""
    found = sorted(set(_ops_in(bundle)))
    if found:
        raise BundleError(
            f"its graphs hold {', '.join(found)}, which reach beyond numbers. If you trust who "
            "published it, give --trust, or the publisher's --key."
        )


def _ops_in(bundle: Bundle) -> Iterator[str]:
    for file in (file for artifact in bundle.manifest.artifacts for file in artifact.files):
        path = (bundle.artifacts or bundle.path) / file.path
        if path.name.endswith((".pbtxt", ".cpb")):
            yield f"{path.suffix[1:]} files"
        if path.suffix == ".pb" and path.stat().st_size:
            yield from _named_in(path)


def _named_in(path: Path) -> Iterator[str]:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
        for match in _NAMED.finditer(text):
            before = text[match.start() - 1] if match.start() else 0
            # The last byte of the length; 0 where it is written longer than it has to be.
            if before in (0, len(match[0])):
                yield match[0].decode()
