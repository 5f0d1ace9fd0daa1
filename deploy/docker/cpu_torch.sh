#!/bin/sh
# Let torch's usual build for Linux run without the libraries of a GPU: sh cpu_torch.sh SITE-PACKAGES
#
# It loads NVIDIA's libraries as it is imported, 2.4 GB, and calls none of them on a machine without a GPU. Here
# libraries take their places that have the same names and the functions that torch asks for. Each function answers with
# an error. libcudart stays: torch asks it whether there is a GPU. A CPU build is left as it is.
set -eu
torch=$1/torch/lib
stubs=$1/nvidia/cu13/lib # on the search path of torch's libraries
[ -e "$torch/libtorch_cuda.so" ] || exit 0
work=$(mktemp -d)

# Loaded only once there is a GPU.
rm -f "$torch/libtorch_cuda_linalg.so" "$torch/libcaffe2_nvrtc.so"

{
    echo .text
    nm -D --undefined-only --format=posix "$torch"/*.so | sed -nE 's/^((cu|nccl|nvrtc|nvshmem)[A-Za-z0-9_]+).*/\1/p' |
        grep -v ^cuda | sort -u | sed 's/.*/.globl &\n&:/'
    case $(uname -m) in
        aarch64) printf 'mov w0, #1\nret\n' ;;
        *) printf 'mov $1, %%eax\nret\n' ;;
    esac
} >"$work/stub.s"
as "$work/stub.s" -o "$work/stub.o"

readelf --dynamic --wide "$torch"/*.so | sed -nE 's/.*NEEDED.*\[(lib(cu|nv|nccl).*)\]/\1/p' | sort -u | grep -v ^libcudart |
    while read -r library; do
        # torch asks for functions in the version that is named after their library.
        case $library in
            libnvshmem_host.*) version=NVSHMEM ;;
            *) version=$library ;;
        esac
        echo "$version { *; };" >"$work/versions"
        # glibc loads no library whose stack may be executed, which ld assumes of assembler.
        ld -shared -z noexecstack -soname "$library" --version-script "$work/versions" -o "$stubs/$library" "$work/stub.o"
    done
rm -r "$work"
