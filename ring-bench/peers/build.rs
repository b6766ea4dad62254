//! Looks for the C++ rivals' headers and builds the shim of each that is there; what is missing is left out and named
//! in the table. Downloads nothing and installs nothing.

use std::path::{Path, PathBuf};

/// Where a compiler looks besides: a folder with `include` and `lib` that packages were unpacked into.
const ROOT: &str = "PEERS_ROOT";

fn main() {
    println!("cargo::rerun-if-env-changed={ROOT}");
    let root = std::env::var_os(ROOT).map(PathBuf::from);
    let mut includes: Vec<PathBuf> = root.iter().map(|root| root.join("usr/include")).collect();
    includes.push("/usr/include".into());
    if let Some(root) = &root {
        println!("cargo::rustc-link-search=native={}", root.join("usr/lib/x86_64-linux-gnu").display());
    }
    let has = |header: &str| {
        let found = includes.iter().map(|dir| dir.join(header)).find(|path| path.exists());
        for dir in &includes {
            println!("cargo::rerun-if-changed={}", dir.join(header).display());
        }
        found.is_some()
    };
    for (cfg, header, shim, library) in [
        ("has_boost", "boost/interprocess/ipc/message_queue.hpp", Some("shim/boost.cpp"), "rt"),
        ("has_tbb", "oneapi/tbb/concurrent_queue.h", Some("shim/tbb.cpp"), "tbb"),
        ("has_zmq", "zmq.h", None, "zmq"),
    ] {
        println!("cargo::rustc-check-cfg=cfg({cfg})");
        if !has(header) {
            continue;
        }
        if let Some(shim) = shim {
            println!("cargo::rerun-if-changed={shim}");
            let name = Path::new(shim).file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let mut build = cc::Build::new();
            build.cpp(true).std("c++17").opt_level(3).warnings(false).file(shim);
            if let Some(root) = &root {
                build.include(root.join("usr/include"));
            }
            if let Err(why) = build.try_compile(&format!("peers_{name}")) {
                println!("cargo::warning={shim} does not build here, its rivals are left out: {why}");
                continue;
            }
        }
        println!("cargo::rustc-link-lib={library}");
        println!("cargo::rustc-cfg={cfg}");
    }
}
