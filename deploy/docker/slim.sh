#!/bin/sh
# Remove from a virtual environment what no program in an image needs, and compile the modules that are used: an image is
# read-only, so that Python would compile them on every start. sh slim.sh /root-of-image PACKAGE...
# The environment is /opt/andon in it; all modules of the packages are imported, as a test of what was removed.
set -eu
root=$1
shift
packages=$(echo "$root"/opt/andon/lib/python3.*/site-packages)

find "$packages" -type d \( -name tests -o -name include -o -name __pycache__ \) -prune -exec rm -r {} +
find "$packages" -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete
find "$packages" -type f -name '*.so' -not -path '*.libs/*' -exec strip --strip-unneeded {} +

# onnxruntime: the Python module holds the same runtime again. The others are tools for training and conversion.
runtime=$packages/onnxruntime
rm -rf "$runtime"/capi/libonnxruntime.so.* "$runtime/datasets" "$runtime/quantization" "$runtime/tools" \
    "$runtime/transformers"

# Character sets of iconv, which Python does not use; lexers for colours in source code, which nobody shows.
rm -rf "$root"/usr/lib/*/gconv "$packages/numpy/f2py"
find "$packages/pygments/lexers" -type f ! -name __init__.py ! -name _mapping.py ! -name special.py ! -name text.py -delete

# AVIF, which nothing here reads.
rm -f "$packages"/PIL/_avif.*.so "$packages"/pillow.libs/libavif-*

# Modules for tests, for another implementation of Python, and for callers of pydantic 1.
rm -rf "$packages"/numpy/_core/_simd.* "$packages"/numpy/_core/*_tests.*.so "$packages"/zstandard/_cffi.*.so \
    "$packages/pydantic/v1" "$packages/pytz/zoneinfo" "$packages/pymodbus/server/simulator"
rm -rf "$root"/usr/lib/python3.*/curses "$root"/usr/lib/python3.*/turtle.py "$root"/usr/lib/python3.*/xmlrpc

# OpenCV brings a whole OpenBLAS, for matrices larger than any that we give it: Debian's LAPACK has the same functions.
for own in "$packages"/opencv_python_headless.libs/libopenblas*; do
    lapack=$(echo "$root"/usr/lib/*-linux-gnu/liblapack.so.3)
    ln -sf "${lapack#"$root"}" "$own"
    rm -f "$packages"/opencv_python_headless.libs/libgfortran* "$packages"/opencv_python_headless.libs/libquadmath*
done

# 11 MB of tables as source code of which only the compiled form is read.
for tables in "$packages"/asyncua/server/standard_address_space/standard_address_space*.py; do
    if [ -f "$tables" ]; then
        chroot "$root" /opt/andon/bin/python -m compileall -q -b "${tables#"$root"}"
        rm "$tables"
    fi
done

chroot "$root" /opt/andon/bin/python - "$@" <<'PYTHON'
import importlib, importlib.util, pkgutil, sys

for name in sys.argv[1:]:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, f"{name}."):
        try:
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if importlib.util.find_spec(error.name.split(".")[0]) is not None:
                raise
            print(f"{module.name}: without {error.name}, which is of an extra that this image does not have")
PYTHON
