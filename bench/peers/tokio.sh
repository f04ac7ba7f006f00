#!/bin/sh
# SPDX-License-Identifier: ISC
# Build a program of Tokio's with what Debian has of it (librust-tokio-dev).
# usage: tokio.sh SOURCE.rs PROGRAM
set -eu

dir=$2.cargo
mkdir -p "$dir/src"
cp "$1" "$dir/src/main.rs"
cat >"$dir/Cargo.toml" <<-END
	[package]
	name = "peer"
	version = "0.1.0"
	edition = "2021"
	[dependencies]
	tokio = { version = "1", features = ["rt"] }
END
cd "$dir"
PATH=/usr/bin:$PATH CARGO_HOME=$PWD/home cargo build --quiet --offline --release \
    --config 'source.crates-io.replace-with="debian"' \
    --config 'source.debian.directory="/usr/share/cargo/registry"'
cp target/release/peer "../$(basename "$2")"
