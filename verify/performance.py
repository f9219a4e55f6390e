"""How fast a runtime is with an artifact, and how much memory it takes."""

from pydantic import BaseModel, ConfigDict

from bundle.manifest import full_name


class Timing(BaseModel):
    """Seconds of single calls with so many rows: the median, and the 10th and 90th percentile.

    What is timed is the runtime's own call, not reading the inputs or writing the outputs down.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    calls: int
    median: float
    low: float
    high: float


class Performance(BaseModel):
    """One signature of one artifact in one runtime.

    `load` is seconds to load the artifact, in a runtime that has started already. `memory` is the
    most bytes that the runner's process and all that it started had resident at once, as seen five
    times a second: the runtime itself, Python or a browser among it. `timings` are of one row and
    of the batch of the model's own data. `error` is why there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    format: str
    variant: str
    runtime: str
    signature: str
    load: float | None = None
    memory: int | None = None
    timings: tuple[Timing, ...] = ()
    error: str = ""

    @property
    def full_format(self) -> str:
        return full_name(self.format, self.variant)
