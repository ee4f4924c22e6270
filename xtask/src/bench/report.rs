//! What was measured, as one table and as JSON.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};

use super::load::Answered;

/// One run of load.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) requests: u64,
    pub(super) cpu_micros: f64,
    pub(super) per_second: f64,
    pub(super) p50_micros: f64,
    pub(super) p99_micros: f64,
}

impl Sample {
    /// What was answered, and the processor time that it took a server.
    pub(super) fn of(answered: Answered, cpu: Duration) -> Self {
        let Answered { requests, per_second, p50_micros, p99_micros } = answered;
        let cpu_micros = cpu.as_secs_f64() * 1e6 / requests as f64;
        Self { requests, cpu_micros, per_second, p50_micros, p99_micros }
    }
}

/// All runs of one scenario against one server.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) scenario: String,
    pub(super) server: &'static str,
    pub(super) samples: Vec<Sample>,
    /// Resident memory in bytes, where that is what was measured.
    pub(super) rss: Option<u64>,
}

impl Row {
    pub(super) fn new(scenario: &str, server: &'static str) -> Self {
        Self { scenario: scenario.to_owned(), server, samples: Vec::new(), rss: None }
    }

    fn median(&self, of: impl Fn(&Sample) -> f64) -> Option<f64> {
        let mut values: Vec<f64> = self.samples.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    fn cpu(&self) -> Option<f64> {
        self.median(|it| it.cpu_micros)
    }

    fn json(&self) -> Value {
        json!({
            "scenario": self.scenario,
            "server": self.server,
            "rssBytes": self.rss,
            "cpuMicrosPerRequest": self.cpu(),
            "requestsPerSecond": self.median(|it| it.per_second),
            "p50Micros": self.median(|it| it.p50_micros),
            "p99Micros": self.median(|it| it.p99_micros),
            "rounds": self.samples.iter().map(|it| json!({
                "requests": it.requests,
                "cpuMicrosPerRequest": it.cpu_micros,
                "requestsPerSecond": it.per_second,
                "p50Micros": it.p50_micros,
                "p99Micros": it.p99_micros,
            })).collect::<Vec<_>>(),
        })
    }
}

/// Writes everything, each round too.
pub(super) fn write(rows: &[Row], machine: &Value, to: &Path) -> Result<()> {
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    let all = json!({"machine": machine, "rows": rows});
    fs::write(to, serde_json::to_string_pretty(&all)? + "\n")?;
    Ok(())
}

/// Medians as a Markdown table.
pub(super) fn table(rows: &[Row]) -> String {
    let mut lines = vec![
        ["scenario", "server", "CPU µs/request", "to nginx", "requests/s", "p50 µs", "p99 µs"]
            .map(str::to_owned),
    ];
    for row in rows.iter().filter(|row| !row.samples.is_empty()) {
        let nginx = rows.iter().find(|it| it.scenario == row.scenario && it.server == "nginx");
        let ratio = nginx.and_then(Row::cpu).zip(row.cpu()).map(|(nginx, cpu)| cpu / nginx);
        let whole = |it: Option<f64>| it.map_or_else(String::new, |it| format!("{it:.0}"));
        // What the stand-in itself takes is no cost of a proxy.
        let is_proxy = row.server != "direct";
        let cpu = row.cpu().filter(|_| is_proxy);
        lines.push([
            row.scenario.clone(),
            row.server.to_owned(),
            cpu.map_or_else(String::new, |it| format!("{it:.1}")),
            ratio.filter(|_| is_proxy).map_or_else(String::new, |it| format!("{it:.2}")),
            whole(row.median(|it| it.per_second)),
            whole(row.median(|it| it.p50_micros)),
            whole(row.median(|it| it.p99_micros)),
        ]);
    }
    let mut text = String::new();
    if lines.len() > 1 {
        text = markdown(&lines);
    }
    let mut memory = vec![["scenario", "server", "resident memory"].map(str::to_owned)];
    for row in rows {
        let mib = row.rss.map(|rss| format!("{} MB", rss / 1_000_000));
        memory.extend(mib.map(|mib| [row.scenario.clone(), row.server.to_owned(), mib]));
    }
    if memory.len() > 1 {
        text = format!("{text}\n{}", markdown(&memory));
    }
    text
}

fn markdown<const N: usize>(lines: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for line in lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            // Words to the left, numbers to the right.
            let cell =
                if column < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") };
            text.push_str(&format!("| {cell} "));
        }
        text.push_str("|\n");
        if number == 0 {
            let rules = widths.iter().enumerate().map(|(column, width)| {
                let rule = "-".repeat(width + 1);
                if column < 2 { format!("|:{rule}") } else { format!("|{rule}:") }
            });
            text.push_str(&rules.collect::<String>());
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_with_nginx_of_the_same_scenario() {
        let row = |scenario: &str, server, cpu: &[f64]| {
            let sample = |cpu: &f64| Sample {
                requests: 1,
                cpu_micros: *cpu,
                per_second: 1.0,
                p50_micros: 1.0,
                p99_micros: 1.0,
            };
            Row { samples: cpu.iter().map(sample).collect(), ..Row::new(scenario, server) }
        };
        let rows = [
            row("a", "nginx", &[20.0, 10.0, 30.0]),
            row("a", "agent-shield", &[15.0]),
            row("b", "agent-shield", &[15.0]),
            Row { rss: Some(5_000_000), ..Row::new("w", "agent-shield") },
        ];
        let text = table(&rows);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start)).unwrap_or("");
        assert!(line("| a        | agent-shield").contains("15.0 |     0.75"), "{text}");
        assert!(!line("| b ").contains("0.75"), "{text}");
        assert!(line("| w ").contains("5 MB"), "{text}");
    }
}
