//! What processes cost, as Linux tells it in `/proc`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::Outcome;

/// The CPU time of one process, all its threads included.
pub(super) fn cpu(pid: u32) -> Outcome<Duration> {
    stat(pid).map(|stat| stat.own).ok_or_else(|| gone(pid))
}

/// The CPU time of a process, of its children that run, and of all that have ended.
pub(super) fn cpu_of_tree(pid: u32) -> Outcome<Duration> {
    let children = fs::read_dir("/proc")
        .map_err(|error| format!("/proc cannot be read: {error}"))?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        // One that ends meanwhile is counted among its parent's ended children, which is read afterwards.
        .filter_map(stat)
        .filter(|stat| stat.parent == pid)
        .fold(Duration::ZERO, |sum, stat| sum + stat.own + stat.ended_children);
    let root = stat(pid).ok_or_else(|| gone(pid))?;
    Ok(root.own + root.ended_children + children)
}

/// The memory of a process in bytes, where pages that several share count in part (PSS).
pub(super) fn memory_bytes(pid: u32) -> Outcome<u64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).map_err(|_| gone(pid))?;
    rollup
        .lines()
        .find_map(|line| {
            line.strip_prefix("Pss:")?
                .trim()
                .strip_suffix("kB")?
                .trim()
                .parse::<u64>()
                .ok()
        })
        .map(|kib| kib * 1024)
        .ok_or_else(|| format!("/proc/{pid}/smaps_rollup has no Pss"))
}

/// Whether this system has what the figures are read from.
pub(super) fn is_supported() -> bool {
    Path::new("/proc/self/stat").exists()
}

fn gone(pid: u32) -> String {
    format!("the process {pid} is gone")
}

struct Stat {
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

fn stat(pid: u32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The fields after the command's name, which may itself hold blanks and parentheses.
fn parse(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let time = |user: usize, system: usize| {
        let ticks = ticks(user)? + ticks(system)?;
        Some(Duration::from_secs_f64(
            ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
        ))
    };
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own: time(11, 12)?,
        ended_children: time(13, 14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_move_the_fields() {
        let line = "7 (a) b (c)) S 3 7 7 0 -1 4194560 1 2 3 4 150 50 30 20 20 0 1 0 99 0 0";
        let stat = parse(line).unwrap();
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(stat.parent, 3);
        assert_eq!(stat.own, Duration::from_secs_f64(200.0 / ticks));
        assert_eq!(stat.ended_children, Duration::from_secs_f64(50.0 / ticks));
    }

    #[test]
    fn this_process_has_a_size_and_a_cost() {
        assert!(memory_bytes(std::process::id()).unwrap() > 0);
        // Both grow all the time.
        let alone = cpu(std::process::id()).unwrap();
        assert!(cpu_of_tree(std::process::id()).unwrap() >= alone);
    }
}
