//! The command: which of the four campaigns, how long, with or without plants, in a `/dev/shm` of its own.

use std::fs;
use std::process::ExitCode;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getgid, getuid};

use crate::plant::Plant;
use crate::{Failure, campaign, cycles, kills, races, scenes};

const USAGE: &str = "\
faults refusals|kills|races|cycles [--long] [--plants] [--only SCENE] [--shard I/N]

refusals  every system call of every operation, refused with each errno (two of them, by turns, without --long)
kills     creators, killed before and after each of their system calls
races     8 processes create and open one name: 10,000 rounds, or 500
cycles    peers open, send and are killed: 10,000 times, or 500
--plants  bugs that have to be found, instead
--shard   of refusals and kills the operations that fall to I (from 1) of N, who share them";

pub(crate) fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["racer", plant] => races::race(plant),
        _ => run(&words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("faults: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), Failure> {
    let (mut long, mut plants, mut only, mut shard) = (false, false, None, (0, 1));
    let (what, mut rest) = words.split_first().ok_or(USAGE)?;
    while let Some((word, more)) = rest.split_first() {
        rest = more;
        match *word {
            "--long" => long = true,
            "--plants" => plants = true,
            "--shard" => {
                (shard, rest) = more.split_first().and_then(|(of, more)| Some((parse(of)?, more))).ok_or(USAGE)?
            }
            "--only" => (only, rest) = more.split_first().map(|(scene, more)| (Some(*scene), more)).ok_or(USAGE)?,
            _ => return Err(USAGE.into()),
        }
    }
    if let Err(reason) = own_directory() {
        println!("{what}: skipped: no /dev/shm of its own: {reason}");
        return Ok(());
    }
    // The standard library asks once whether there is a `statx`, which is not what is tried here.
    let _ = fs::symlink_metadata("/dev/shm/none");
    let rounds = if long { 10_000 } else { 500 };
    match (*what, plants) {
        ("refusals", false) => refusals(&mine(shard, only), long),
        ("refusals", true) => refusal_plants(),
        ("kills", false) => kill_all(&mine(shard, only)),
        ("kills", true) => kill_plant(),
        ("races", false) => races::run(rounds, races::Plant::None)
            .map(|()| println!("races: {rounds} rounds by 8 processes, one creator each, no half-made view")),
        ("races", true) => races::Plant::ALL.iter().try_for_each(|plant| caught(plant, races::run(50, *plant))),
        ("cycles", false) => cycles::run(rounds, cycles::Plant::None)
            .map(|()| println!("cycles: {rounds} deaths recovered, descriptors, mappings, names and entries flat")),
        ("cycles", true) => cycles::Plant::ALL.iter().try_for_each(|plant| caught(plant, cycles::run(20, *plant))),
        _ => Err(USAGE.into()),
    }
}

/// `I/N`, from 1, as what is left of an index, and of what.
fn parse(shard: &str) -> Option<(usize, usize)> {
    let (own, of) = shard.split_once('/')?;
    let (own, of) = (own.parse::<usize>().ok()?, of.parse::<usize>().ok()?);
    (1..=of).contains(&own).then(|| (own - 1, of))
}

/// The scenes of that shard, or the one of that name.
fn mine((own, of): (usize, usize), only: Option<&str>) -> Vec<scenes::Scene> {
    let all = scenes::all().into_iter().filter(|scene| only.is_none_or(|only| scene.name == only));
    all.enumerate().filter(|(index, _)| index % of == own).map(|(_, scene)| scene).collect()
}

/// Mounts a `/dev/shm` that only this process and its children see, as they do what System V segments they make.
fn own_directory() -> Result<(), Failure> {
    let (user, group) = (getuid(), getgid());
    // System V segments go with the IPC namespace.
    let own = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWIPC;
    if unshare(own).is_err() {
        unshare(CloneFlags::CLONE_NEWUSER | own)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("{user} {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    }
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
    mount(Some("faults"), "/dev/shm", Some("tmpfs"), MsFlags::empty(), Some("size=64m,mode=1777"))?;
    Ok(())
}

/// A plant has to make its campaign fail.
fn caught<T>(plant: &impl std::fmt::Debug, result: Result<T, Failure>) -> Result<(), Failure> {
    match result {
        Err(error) => {
            let text = error.to_string();
            println!("planted {plant:?}, found: {}", text.lines().next().unwrap_or_default());
            Ok(())
        }
        Ok(_) => Err(format!("the planted bug {plant:?} was not found").into()),
    }
}

fn refusals(scenes: &[scenes::Scene], long: bool) -> Result<(), Failure> {
    let (mut operations, mut calls, mut refused, mut failures) = (0, 0, 0, 0);
    println!("| operation | calls | refusals | ridden out | errors |\n|---|---|---|---|---|");
    for scene in scenes {
        let tally = campaign::walk(scene, Plant::None, long)?;
        let campaign::Tally { calls: own, refusals, ridden_out, .. } = tally;
        println!("| {} | {own} | {refusals} | {ridden_out} | {} |", scene.name, refusals - ridden_out);
        tally.failures.iter().for_each(|failure| println!("{failure}"));
        operations += 1;
        calls += own;
        refused += refusals;
        failures += tally.failures.len();
    }
    println!("refusals: {operations} operations, {calls} calls, {refused} refusals, {failures} failed");
    if failures == 0 { Ok(()) } else { Err("see above".into()) }
}

fn scene(name: &str) -> Result<scenes::Scene, Failure> {
    scenes::all().into_iter().find(|scene| scene.name == name).ok_or_else(|| format!("no scene {name}").into())
}

fn refusal_plants() -> Result<(), Failure> {
    for plant in Plant::ALL.into_iter().filter(|plant| *plant != Plant::HalfMade) {
        // A seat can only be left taken where there is a ring.
        let names = match plant {
            Plant::Entry => &["mpmc open, consumer"][..],
            // Of these there is no kind in a ring without a name.
            Plant::Name => &["spsc create", "spsc file create", "spsc sysv create"],
            _ => &["spsc create", "spsc memfd create", "strict create", "strict open"],
        };
        for name in names {
            let found = campaign::walk(&scene(name)?, plant, true)?.failures.into_iter().next();
            caught(&format!("{plant:?} ({name})"), found.map_or(Ok(()), |failure| Err(failure.into())))?;
        }
    }
    Ok(())
}

fn kill_all(scenes: &[scenes::Scene]) -> Result<(), Failure> {
    let (mut all, mut longest) = (0, Duration::ZERO);
    for scene in scenes.iter().filter(|scene| scene.creates) {
        let (points, took) = kills::walk(scene, Plant::None)?;
        println!("{}: killed at {points} points, the next one ready within {took:?}", scene.name);
        all += points;
        longest = longest.max(took);
    }
    let longest = longest.as_secs_f64() * 1000.0;
    println!("kills: {all} creators, the longest time until the next one worked {longest:.1} ms");
    Ok(())
}

fn kill_plant() -> Result<(), Failure> {
    caught(&Plant::HalfMade, kills::walk(&scene("spsc create")?, Plant::HalfMade))
}
