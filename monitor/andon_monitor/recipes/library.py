"""The models of all recipes: opened, kept within a memory budget, and found for each frame."""

import hashlib
import itertools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping

from andon_monitor.errors import AndonError, first_line
from andon_monitor.inspection.frames import Frame, Rejection, Verdict, reject
from andon_monitor.inspection.inspector import Inspector
from andon_monitor.model.file import Model, read_model
from andon_monitor.model.limits import private_bytes
from andon_monitor.model.session import uses_gpu
from andon_monitor.model.verification import verify_apart
from andon_monitor.recipes.table import Recipe, RecipeTable, product_of
from andon_monitor.settings.groups import ModelSettings, Settings
from andon_monitor.telemetry.metrics import Metrics

# Of cameras with products, whose recipe is remembered; names come from messages, and somebody may invent them.
MAX_REMEMBERED = 10_000
# What an open model takes at least, in sizes of its file: the file itself, and onnxruntime's copy of its weights.
MIN_BYTES_IN_FILES = 2
MAX_DETAIL = 500  # characters of a reason in a verdict

log = logging.getLogger("andon")

Inspectors = Mapping[str | None, Inspector]  # by name of the recipe


class ModelFile:
    """A model file and its recipes. `inspectors` is replaced as a whole: no frame sees half of a swap.

    `refused` says why nothing of the file can be used, None where something is open or has not been asked for. `asked`
    is when a frame first needed it, in seconds of the monotonic clock. `used` counts up with the frames.
    """

    def __init__(self, recipes: tuple[Recipe, ...]) -> None:
        self.path = recipes[0].path
        self.recipes = recipes
        self.inspectors: Inspectors = {}
        self.refused: str | None = None
        self.asked: float | None = None
        self.used = 0
        self.bytes = 0
        self.lock = threading.Lock()  # held while the file is opened, swapped or closed

    @property
    def model(self) -> Model | None:
        """The open model, None where none is."""
        return next((inspector.model for inspector in self.inspectors.values()), None)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of its recipes in metrics; for the one model of `model.path` the alias, once it is open."""
        open_ones = [inspector.alias for inspector in self.inspectors.values()]
        return tuple(recipe.name for recipe in self.recipes if recipe.name is not None) or tuple(open_ones)


class Library:
    """Finds the inspector of a frame. Models are opened at the start, or with the first frame that needs one.

    One thread of its own opens models while a run goes on, so that other recipes' frames are inspected meanwhile. The
    memory of a model is what the process grew by when it was opened, at least `MIN_BYTES_IN_FILES` file sizes.
    """

    def __init__(self, table: RecipeTable, settings: ModelSettings, metrics: Metrics) -> None:
        self.table = table
        self._settings = settings
        self._metrics = metrics
        # Called with an inspector and the alias of the one that it replaces; may refuse it by raising AndonError.
        self.accept: Callable[[Inspector, str | None], None] = lambda inspector, instead_of: None
        by_path: dict[str, list[Recipe]] = {}
        for recipe in table.recipes:
            by_path.setdefault(str(recipe.path), []).append(recipe)
        self.files = tuple(ModelFile(tuple(recipes)) for recipes in by_path.values())
        self._file_of = {recipe.name: file for file in self.files for recipe in file.recipes}
        self._found: dict[tuple[str, str], tuple[ModelFile, str | None] | None] = {}
        self._frames = itertools.count(1)
        # How long frames wait for a model; None for a recording, whose verdicts must not depend on that.
        self.patience: float | None = None
        metrics.models_limit_bytes.set(settings.memory_bytes or 0)
        self._measured: dict[str, int] = {}  # bytes by sha256
        self._verified: set[str] = set()
        self._asked: queue.SimpleQueue[ModelFile | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._open_when_asked, name="models", daemon=True)

    @classmethod
    def open(cls, settings: Settings, metrics: Metrics | None = None) -> "Library":
        """The library of the settings, opened as they say. Raises UsageError, and ModelError where no model is usable.

        With several files, one that is refused is logged and counted, and the others are used.
        """
        library = cls(RecipeTable.from_settings(settings), settings.model, metrics or Metrics())
        if settings.model.load == "start" or not settings.recipes:
            library.open_all()
        library._thread.start()
        return library

    def open_all(self, strict: bool = False) -> None:
        """Open every model in this thread. Raises the first error where `strict`, or where no model can be used."""
        first: AndonError | None = None
        for file in self.files:
            try:
                self.open_here(file)
            except AndonError as error:
                if strict or len(self.files) == 1:
                    raise
                first = first or error
                self.refuse(file, error)
        if first is not None and all(file.refused is not None for file in self.files):
            raise first

    def find(self, frame: Frame) -> Inspector | Verdict | None:
        """The inspector of a frame, the verdict on one that has none, or None: its model is being opened, ask again.

        One thread asks.
        """
        key = frame.camera, product_of(frame)
        try:
            found = self._found[key]
        except KeyError:
            found = self._look_up(key)
        if found is None:
            shown = f"camera {key[0]} and product {key[1]}" if key[1] else f"camera {key[0]} without a product"
            return reject(frame, Rejection("no_recipe", f"no recipe takes {shown}"))
        file, name = found
        file.used = next(self._frames)
        inspector = file.inspectors.get(name)
        return inspector if inspector is not None else self._await(file, name, frame)

    def inspectors(self) -> list[Inspector]:
        """All that are open, in the order of the recipes."""
        open_ones = [self._file_of[recipe.name].inspectors.get(recipe.name) for recipe in self.table.recipes]
        return [inspector for inspector in open_ones if inspector is not None]

    def close(self) -> None:
        """Stop opening models."""
        self._closed.set()
        self._asked.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def replace(self, file: ModelFile, content: bytes) -> Inspectors:
        """Verify a file's new content in a process apart, open it and use it. The file's lock is held.

        Raises AndonError; the old model then stays in use.
        """
        settings, path = self._settings, str(file.path)
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 not in self._verified:
            verify_apart(content, path, settings.provider, settings.load_limits, self._closed)
        before = private_bytes()
        model = Model.from_bytes(content, path, settings.provider, settings.threads)
        return self._use(file, model, before)

    def refuse(self, file: ModelFile, error: Exception) -> str:
        """Count a file that cannot be used; without an open model, its frames are uninspectable. Gives the reason."""
        unexpected = f"{file.path}: {type(error).__name__}: {first_line(error)}"
        why = str(error) if isinstance(error, AndonError) else unexpected
        if not file.inspectors:
            file.refused = why
            file.asked = None
        for label in file.labels:
            self._metrics.model_swaps.labels(label, "refused").inc()
            self._metrics.model_refused.labels(label).set(1)
        old = [f"{inspector.alias} {inspector.model.sha256[:12]}" for inspector in file.inspectors.values()]
        consequence = f"{', '.join(old)} stays in use" if old else f"no frame of {', '.join(file.labels)} is inspected"
        log.error("model refused: %s; %s", why, consequence)
        return why

    def _look_up(self, key: tuple[str, str]) -> tuple[ModelFile, str | None] | None:
        recipe = self.table.find(*key)
        found = None if recipe is None else (self._file_of[recipe.name], recipe.name)
        if len(self._found) >= MAX_REMEMBERED:
            self._found.clear()
        self._found[key] = found
        return found

    def _await(self, file: ModelFile, name: str | None, frame: Frame) -> Inspector | Verdict | None:
        """As `find`, for a file of which nothing is open."""
        if (why := file.refused) is not None:
            return reject(
                frame, Rejection("no_model", f"the model of recipe {name} is refused: {why[:MAX_DETAIL]}"), name
            )
        now = time.monotonic()
        if file.asked is None:
            file.asked = now
            self._asked.put(file)
        if self.patience is None or now - file.asked < self.patience:
            return file.inspectors.get(name)
        detail = f"the model of recipe {name} is not open after {self.patience:g} s"
        return reject(frame, Rejection("no_model", detail), name)

    def open_here(self, file: ModelFile) -> None:
        """Open a file in this thread. Ends the process where that exceeds the limits, see `LoadLimits.guard`."""
        settings = self._settings
        before = private_bytes()
        with file.lock, settings.load_limits.guard(file.path, uses_gpu(settings.provider)):
            self._use(file, Model.load(file.path, settings.provider, settings.threads), before)

    def _open_when_asked(self) -> None:
        while (file := self._asked.get()) is not None:
            try:
                with file.lock:
                    if file.inspectors:  # a swap was faster
                        file.asked = None
                        continue
                    self.replace(file, read_model(file.path))
                    log.info("model opened: %s, as a frame needs it", ", ".join(file.labels))
            except Exception as error:  # the other recipes go on
                self.refuse(file, error)

    def _use(self, file: ModelFile, model: Model, before: int) -> Inspectors:
        """Inspectors of an open model for all recipes of the file, used from now on. Raises AndonError."""
        inspectors = {recipe.name: Inspector(model, recipe.rules) for recipe in file.recipes}
        old = file.inspectors
        for name, inspector in inspectors.items():
            inspector.check_golden()
            self.accept(inspector, old[name].alias if name in old else None)
        self._verified.add(model.sha256)
        grown = max(private_bytes() - before, self._measured.get(model.sha256, 0))
        file.bytes = self._measured[model.sha256] = max(grown, MIN_BYTES_IN_FILES * len(model.content))
        file.inspectors = inspectors
        file.refused = file.asked = None
        for name, inspector in inspectors.items():
            self._metrics.use_model(inspector, old.get(name))
            self._metrics.model_openings.labels(inspector.alias).inc()
            self._metrics.model_refused.labels(inspector.alias).set(0)
        self._keep_budget(file)
        return old

    def _keep_budget(self, newest: ModelFile) -> None:
        """Close the models that no frame has needed for longest, until the others fit into the budget."""
        budget = self._settings.memory_bytes
        open_ones = sorted((file for file in self.files if file.inspectors), key=lambda file: file.used)
        total = sum(file.bytes for file in open_ones)
        while budget is not None and total > budget and len(open_ones) > 1:
            file = open_ones.pop(0 if open_ones[0] is not newest else 1)
            total -= file.bytes
            for inspector in file.inspectors.values():
                self._metrics.close_model(inspector.alias)
            file.inspectors = {}  # frames that are being inspected keep theirs
            log.info("model closed: %s, to keep to model.memory_bytes", ", ".join(file.labels))
        self._metrics.models_open.set(len(open_ones))
        self._metrics.models_bytes.set(total)


def open_strictly(settings: Settings) -> Library:
    """A library with every model open, whatever the settings say about memory. Raises UsageError, ModelError."""
    unlimited = settings.model.model_copy(update={"memory_bytes": None})
    library = Library(RecipeTable.from_settings(settings), unlimited, Metrics())
    library.open_all(strict=True)
    return library
