//! The arrows of `ARCHITECTURE.md`, held against what cargo says: a room depends
//! on the rooms it may depend on and on no other, and a library that belongs to
//! one room is used in no other.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand};

/// Each room and the rooms that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("credential", &[]),
    ("revocation", &["credential"]),
    ("authority", &["credential", "revocation"]),
    ("storage", &[]),
    ("wire", &["credential"]),
    (
        "consensus",
        &["authority", "credential", "revocation", "storage", "wire"],
    ),
    (
        "server",
        &["authority", "consensus", "credential", "revocation", "wire"],
    ),
    ("client", &["credential", "revocation", "wire"]),
    ("cli", &["client", "credential", "server", "wire"]),
];

/// Libraries that belong to one room.
const OWNED: &[(&str, &str)] = &[
    ("rocksdb", "storage"),
    ("openraft", "consensus"),
    ("openraft-rt", "consensus"),
    ("ed25519-dalek", "credential"),
    ("p256", "credential"),
];

/// What the pure rooms may not reach for, by any path.
const PURE: &[&str] = &["credential", "revocation", "authority"];
const IMPURE: &[&str] = &[
    "tokio",
    "rand",
    "getrandom",
    "chrono",
    "time",
    "rustix",
    "memmap2",
    "mio",
];

fn metadata() -> Metadata {
    MetadataCommand::new()
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .exec()
        .unwrap()
}

/// What only a build under `--cfg simulation` has.
fn is_simulated(dependency: &Dependency) -> bool {
    let target = dependency.target.as_ref().map(ToString::to_string);
    target.as_deref() == Some("cfg(simulation)")
}

fn rooms(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    metadata
        .workspace_packages()
        .into_iter()
        .filter_map(|package| {
            let room = package.name.strip_prefix("chancery-")?.to_owned();
            let inside = package.manifest_path.parent()?.parent()?.file_name()? == "crates";
            inside.then(|| {
                let normal = package
                    .dependencies
                    .iter()
                    .filter(|dependency| dependency.kind != DependencyKind::Development)
                    .filter(|dependency| !is_simulated(dependency));
                (
                    room,
                    normal
                        .map(|dependency| dependency.name.to_string())
                        .collect(),
                )
            })
        })
        .collect()
}

#[test]
fn every_room_depends_only_on_the_rooms_it_may() {
    let rooms = rooms(&metadata());
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ARROWS
        .iter()
        .map(|(room, to)| (*room, to.iter().copied().collect()))
        .collect();
    assert_eq!(
        rooms.keys().map(String::as_str).collect::<BTreeSet<_>>(),
        allowed.keys().copied().collect(),
        "a room was added or removed: say so in ARCHITECTURE.md and here"
    );
    for (room, dependencies) in &rooms {
        for other in dependencies
            .iter()
            .filter_map(|name| name.strip_prefix("chancery-"))
        {
            assert!(
                allowed[room.as_str()].contains(other),
                "`{room}` depends on `{other}`, and no arrow of ARCHITECTURE.md says that it may"
            );
        }
    }
}

#[test]
fn a_library_of_one_room_is_used_in_no_other() {
    for (room, dependencies) in rooms(&metadata()) {
        for (library, owner) in OWNED {
            assert!(
                room == *owner || !dependencies.contains(*library),
                "`{library}` belongs to `{owner}`, and `{room}` uses it"
            );
        }
    }
}

#[test]
fn the_pure_rooms_ask_no_machine_for_anything() {
    for (room, dependencies) in rooms(&metadata()) {
        for library in IMPURE {
            assert!(
                !PURE.contains(&room.as_str()) || !dependencies.contains(*library),
                "`{room}` is pure, and depends on `{library}`"
            );
        }
    }
}

#[test]
fn no_product_can_make_a_mistake_of_the_simulations() {
    for package in metadata().workspace_packages() {
        let mistakes = package
            .dependencies
            .iter()
            .filter(|dependency| dependency.name == "chancery-mutation");
        for dependency in mistakes {
            assert!(
                is_simulated(dependency),
                "`{}` has the simulation's mistakes in other builds too",
                package.name
            );
        }
    }
}
