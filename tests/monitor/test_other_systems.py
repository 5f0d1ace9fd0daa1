"""What Windows lacks is imported nowhere but in `common.system`; what does not run there says so in one line.

The modules of the monitor are loaded once, for the libraries that they need, and then again as on Windows: another
`sys.platform`, and none of the modules that only Linux and macOS have.
"""

import subprocess
import sys

AS_ON_WINDOWS = """
import importlib, pkgutil, sys, types
import andon_monitor

def load():
    for module in pkgutil.walk_packages(andon_monitor.__path__, "andon_monitor."):
        if not module.name.endswith(("__main__", "links.gpio", "kafka.msk")):  # those two need extras
            importlib.import_module(module.name)
    return sum(name.startswith("andon_monitor") for name in sys.modules)

before = load()
for name in [name for name in sys.modules if name.startswith("andon_monitor.")]:
    del sys.modules[name]
for name in ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog", "gpiod"):
    sys.modules[name] = None
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.platform = "win32"
andon_monitor = importlib.reload(andon_monitor)
assert load() == before > 100, before

from andon_monitor.actions.links.opening import make_link
from andon_monitor.errors import InstallationError
from andon_monitor.settings.actions import TargetSettings
try:
    target = {"name": "gate", "uri": "gpio:///dev/gpiochip0", "rules": [{"address": "1"}]}
    make_link(TargetSettings.model_validate(target))
except InstallationError as error:
    print(error)
"""


def test_every_module_loads_as_on_windows_and_digital_outputs_say_that_they_need_linux() -> None:
    done = subprocess.run([sys.executable, "-c", AS_ON_WINDOWS], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "output.actions: gate: gpio:///dev/... is only on Linux, this is win32\n"
