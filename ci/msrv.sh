#!/usr/bin/env bash
# The oldest compiler that is promised, and the width that few build for: ring-core and ring-shm compile with the
# `rust-version` of Cargo.toml; what it builds for 32 bits writes the golden rings byte for byte, and talks to programs
# of 64 bits through rings of both kinds, each way, also when one of them is killed.
#
# The compiler is $MSRV_RUSTC, or rustup's of that version where it is installed, or Debian's package `rustc-web` of it,
# unpacked below target/ and not installed; the last one comes with the standard library for i386, without which the
# second half is skipped. What cannot be had is skipped with the reason.
#
# Last line: `msrv: …`.
set -euo pipefail
cd "$(dirname "$0")/.."
version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
home="$PWD/${CARGO_TARGET_DIR:-target}/msrv" golden=ring-core/tests/golden/v1
[[ "${CARGO_TARGET_DIR:-target}" != /* ]] || home="$CARGO_TARGET_DIR/msrv"
root="$home/root" wide=i686-unknown-linux-gnu

# Debian's packages of both widths into $root, asked of whatever sources this machine's apt has.
unpack() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    mkdir -p "$home/lists/partial" "$home/cache/archives/partial" "$home/debs"
    local apt=(apt-get -qq -o Dir::State::lists="$home/lists" -o Dir::Cache="$home/cache" -o APT::Sandbox::User=root
        -o APT::Architectures::=amd64 -o APT::Architectures::=i386)
    (
        cd "$home/debs"
        "${apt[@]}" update || true # a source without one of the widths is no harm if the packages are found
        "${apt[@]}" download "rustc-web=$version.*" "libstd-rust-web-$version" "libstd-rust-web-dev=$version.*" libllvm19 &&
            { "${apt[@]}" download "libstd-rust-web-dev:i386=$version.*" libc6-dev:i386 libgcc-12-dev:i386 || true; }
    ) >"$home/apt.log" 2>&1 || return 1
    rm -rf "$root"
    for deb in "$home"/debs/*.deb; do dpkg-deb -x "$deb" "$root"; done
    rm -rf "$home/debs"
    # Its own LLVM, and a linker that finds the 32-bit start files.
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' "$root/usr/lib/x86_64-linux-gnu" "$root/usr/bin/rustc" >"$home/rustc"
    local libc="$root/usr/lib/i386-linux-gnu" gcc="$root/usr/lib/gcc/i686-linux-gnu/12"
    printf '#!/bin/sh\nexec cc -m32 -B%s -L%s -B%s -L%s "$@"\n' "$libc" "$libc" "$gcc" "$gcc" >"$home/cc32"
    chmod +x "$home/rustc" "$home/cc32"
}

compiler=${MSRV_RUSTC:-$(rustup which --toolchain "$version" rustc 2>/dev/null || true)}
if [ -z "$compiler" ]; then
    if [ "$(uname -m)" = x86_64 ] && { [ -x "$home/rustc" ] || unpack; }; then
        compiler="$home/rustc"
    else
        echo "msrv: skipped: no Rust $version at hand, and no package rustc-web of it to be had"
        exit 0
    fi
fi
case $("$compiler" --version) in "rustc $version."*) ;; *) echo "msrv: $compiler is not Rust $version" >&2; exit 1 ;; esac
export CARGO_TARGET_DIR="$home/target"
RUSTC="$compiler" cargo check --quiet -p ring-core -p ring-shm
so_far="ring-core and ring-shm compile with $("$compiler" --version)"

if [ ! -d "$("$compiler" --print target-libdir --target "$wide")" ] || [ ! -x "$home/cc32" ]; then
    echo "msrv: $so_far; 32 bits skipped: no standard library for $wide at hand"
    exit 0
fi
CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_LINKER="$home/cc32" CARGO_TARGET_I686_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static" \
    RUSTC="$compiler" cargo build --quiet --target "$wide" -p ring-core -p ring-shm --example golden --example ticks --example jobs
narrow="$CARGO_TARGET_DIR/$wide/debug/examples"
if ! "$narrow/golden" check "$golden"; then
    "$narrow/golden" || [ $? = 2 ] || { echo "msrv: $so_far; 32 bits skipped: this kernel runs no such program"; exit 0; }
    exit 1
fi
# The control: a single other bit is noticed.
mkdir -p "$home/planted" && cp "$golden"/*.ring "$home/planted"
printf '\001' | dd of="$home/planted/mpmc-typed.ring" bs=1 seek=4000 conv=notrunc status=none
if "$narrow/golden" check "$home/planted" 2>/dev/null; then
    echo "msrv: a planted difference was not noticed" >&2
    exit 1
fi

cargo build --quiet -p ring-shm --example ticks --example jobs
wider="$CARGO_TARGET_DIR/debug/examples" name="ci-msrv-$$"
out=$(mktemp -d)
trap 'rm -rf "/dev/shm/ring.$name" "/dev/shm/ring.$name-jobs" "$out"' EXIT
for sides in "$narrow $wider" "$wider $narrow"; do
    read -r from to <<<"$sides"
    timeout 60 "$from/ticks" send "$name" 100000 &
    timeout 60 "$to/ticks" recv "$name" 100000
    wait $!
done

# Jobs that senders and receivers of both widths share, of whom one of each is killed in the middle: all that was told to be
# sent has come, in order for each receiver, and twice only with the flag.
jobs() { # the width whose receiver is killed, the one whose sender is; one of the rest
    local reader=$1 writer=$2 other=$3 count=20000 pids=() victims=() who line pid
    "$reader/jobs" recv "$name-jobs" >"$out/recv-victim" & victims+=($!)
    "$writer/jobs" send "$name-jobs" 9 100000000 >"$out/send-9" & victims+=($!)
    timeout 120 "$other/jobs" recv "$name-jobs" >"$out/recv-1" & local first=$!
    timeout 120 "$reader/jobs" recv "$name-jobs" >"$out/recv-2" & local second=$!
    for who in 1 2; do
        line=$([ "$who" = 1 ] && echo "$narrow" || echo "$wider")
        timeout 120 "$line/jobs" send "$name-jobs" "$who" "$count" >"$out/send-$who" & pids+=($!)
    done
    sleep 0.2
    for pid in "${victims[@]}"; do kill -KILL "$pid" && { wait "$pid" 2>/dev/null || true; }; done
    for pid in "${pids[@]}"; do wait "$pid"; done
    "$other/jobs" close "$name-jobs"
    wait "$first" && wait "$second"
    # The last line of who was killed may be half a one.
    sed -i '$d' "$out/send-9"
    judge "$out"
    rm -f "/dev/shm/ring.$name-jobs" "$out"/*
}
judge() { # the directory of what they said
    cat "$1"/send-* | cut -d' ' -f1,2 | sort >"$1/sent"
    : >"$1/got.unsorted"
    awk -v d="$1" 'FNR == 1 { split("", last) } NF < 3 { next }
        $3 == "first" { if (first[$1, $2]++) { print "twice unflagged: " $0; bad = 1 } }
        $3 == "first" { if (($1 in last) && last[$1] >= $2) { print "out of order: " $0; bad = 1 } last[$1] = $2 }
        { print $1, $2 > (d "/got.unsorted") } END { exit bad }' "$1"/recv-* || return 1
    sort -u "$1/got.unsorted" >"$1/got"
    if comm -23 "$1/sent" "$1/got" | grep .; then echo "msrv: lost, all of these" >&2; return 1; fi
    # The only one that may come without having been told is the last of who was killed.
    [ "$(comm -13 "$1/sent" "$1/got" | wc -l)" -le 2 ] || return 1
    echo "$(wc -l <"$1/got") jobs between widths, $(wc -l <"$1/recv-victim") to a receiver that was killed," \
        "$(grep -c '^9 ' "$1/got" || true) from a sender that was"
}
# The control: the judge sees what is lost, doubled and out of order.
control() { # what one receiver said of three that were sent
    printf '1 0 sent\n1 1 sent\n1 2 sent\n' >"$out/send-1"
    printf '%b' "$1" >"$out/recv-1"
    : >"$out/recv-victim"
    judge "$out" >/dev/null 2>&1 && echo sound || echo wrong
}
for case in 'sound 1 0 first\n1 1 first\n1 2 first\n1 1 again\n' 'wrong 1 0 first\n1 2 first\n' \
    'wrong 1 0 first\n1 1 first\n1 1 first\n1 2 first\n' 'wrong 1 1 first\n1 0 first\n1 2 first\n'; do
    if [ "$(control "${case#* }")" != "${case%% *}" ]; then
        echo "msrv: the judge of jobs is wrong about: $case" >&2
        exit 1
    fi
    rm -f "$out"/*
done
jobs "$narrow" "$wider" "$wider"
jobs "$wider" "$narrow" "$narrow"
echo "msrv: $so_far; its 32-bit programs write the golden rings byte for byte and talk to 64-bit ones through rings of both kinds, some of them killed"
