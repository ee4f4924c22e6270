//! What the kernel says of a process: processor time and memory, with its children.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, Result};

/// Processor time of a process and all its children, in user and kernel mode.
pub(super) fn cpu(pid: u32) -> Result<Duration> {
    let ticks: u64 = family(pid)?.iter().map(|it| it.ticks).sum();
    let per_second = Command::new("getconf").arg("CLK_TCK").output()?;
    let per_second: u64 = String::from_utf8_lossy(&per_second.stdout).trim().parse()?;
    Ok(Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second))
}

/// Resident memory of a process and all its children, in bytes.
pub(super) fn rss(pid: u32) -> Result<u64> {
    let of_one = |pid: u32| -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
    };
    Ok(family(pid)?.iter().filter_map(|it| of_one(it.pid)).sum())
}

struct Stat {
    pid: u32,
    parent: u32,
    ticks: u64,
}

/// A process and everything below it.
fn family(pid: u32) -> Result<Vec<Stat>> {
    let mut rest: Vec<Stat> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(stat)
        .collect();
    let at = rest.iter().position(|it| it.pid == pid);
    let mut family = vec![rest.swap_remove(at.with_context(|| format!("process {pid} is gone"))?)];
    loop {
        let is_child = |it: &mut Stat| family.iter().any(|parent| parent.pid == it.parent);
        let children: Vec<Stat> = rest.extract_if(.., is_child).collect();
        if children.is_empty() {
            return Ok(family);
        }
        family.extend(children);
    }
}

fn stat(pid: u32) -> Option<Stat> {
    parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Of `PID (NAME) STATE PPID …`; the name may hold anything.
fn parse(pid: u32, line: &str) -> Option<Stat> {
    let (_, rest) = line.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let parent = u32::try_from(number(1)?).ok()?;
    Some(Stat { pid, parent, ticks: number(11)? + number(12)? })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn reads_what_the_kernel_writes() {
        let line = "7 (a) b) S 3 7 7 0 -1 4194304 1 2 3 4 50 25 6 7 20 0 1 0 100 2 3";
        let stat = parse(7, line).unwrap();
        assert_eq!((stat.parent, stat.ticks), (3, 75));
    }
}
