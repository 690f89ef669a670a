//! The figures, the budgets they are held against, and how both are shown.

use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::Load;

/// What the API did for one kind of request at one number of connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ApiFigures {
    pub(super) requests_per_second: f64,
    /// None where one request does many.
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    /// CPU for each request: of the server, of PostgreSQL, of the load generator.
    pub(super) server_cpu_ms: f64,
    pub(super) postgres_cpu_ms: f64,
    pub(super) generator_cpu_ms: f64,
    /// The server's memory (PSS) at the end.
    pub(super) server_mib: f64,
}

/// CPU time that went by, by who used it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cpu {
    pub(super) server: Duration,
    pub(super) postgres: Duration,
    pub(super) generator: Duration,
}

impl ApiFigures {
    /// One request of each, one after the other.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            requests_per_second: 1.0 / (1.0 / self.requests_per_second + 1.0 / other.requests_per_second),
            p50_ms: self.p50_ms.zip(other.p50_ms).map(|(one, two)| one + two),
            p99_ms: self.p99_ms.zip(other.p99_ms).map(|(one, two)| one + two),
            server_cpu_ms: self.server_cpu_ms + other.server_cpu_ms,
            postgres_cpu_ms: self.postgres_cpu_ms + other.postgres_cpu_ms,
            generator_cpu_ms: self.generator_cpu_ms + other.generator_cpu_ms,
            server_mib: self.server_mib.max(other.server_mib),
        }
    }

    pub(super) fn of(load: &Load, cpu: Cpu, server_mib: f64) -> Self {
        let each = |time: Duration| ms(time) / (load.requests.max(1) as f64);
        Self {
            requests_per_second: load.per_second(),
            p50_ms: Some(ms(load.percentile(50))),
            p99_ms: Some(ms(load.percentile(99))),
            server_cpu_ms: each(cpu.server),
            postgres_cpu_ms: each(cpu.postgres),
            generator_cpu_ms: each(cpu.generator),
            server_mib,
        }
    }

    pub(super) fn cpu_ms(&self) -> f64 {
        self.server_cpu_ms + self.postgres_cpu_ms
    }
}

/// What pgbench did with the bare SQL of the same work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct BareFigures {
    pub(super) transactions_per_second: f64,
    pub(super) postgres_cpu_ms: f64,
}

impl BareFigures {
    /// One of each, one after the other.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self {
            transactions_per_second: 1.0
                / (1.0 / self.transactions_per_second + 1.0 / other.transactions_per_second),
            postgres_cpu_ms: self.postgres_cpu_ms + other.postgres_cpu_ms,
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) work: String,
    pub(super) connections: usize,
    pub(super) api: ApiFigures,
    /// None where there is no like of it, or no pgbench.
    pub(super) bare: Option<BareFigures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delivery: Option<Delivery>,
}

/// What was left to do in the background when the last request was answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Delivery {
    pub(super) events_left: i64,
    pub(super) seconds: f64,
    pub(super) server_cpu_ms_per_event: f64,
    pub(super) postgres_cpu_ms_per_event: f64,
}

impl Row {
    pub(super) fn throughput_ratio(&self) -> Option<f64> {
        Some(self.api.requests_per_second / self.bare.as_ref()?.transactions_per_second)
    }

    pub(super) fn postgres_ratio(&self) -> Option<f64> {
        Some(self.api.postgres_cpu_ms / self.bare.as_ref()?.postgres_cpu_ms)
    }
}

/// A figure and the bound that it is to keep.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Budget {
    pub(super) what: String,
    /// None when it was not measured.
    pub(super) value: Option<f64>,
    pub(super) bound: f64,
    pub(super) unit: &'static str,
    /// Whether the bound is the most or the least.
    pub(super) sense: Sense,
    pub(super) met: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Sense {
    AtMost,
    AtLeast,
}

impl Budget {
    pub(super) fn new(
        what: impl Into<String>,
        value: Option<f64>,
        sense: Sense,
        bound: f64,
        unit: &'static str,
    ) -> Self {
        let met = value.map(|value| match sense {
            Sense::AtMost => value <= bound,
            Sense::AtLeast => value >= bound,
        });
        Self {
            what: what.into(),
            value,
            bound,
            unit,
            sense,
            met,
        }
    }

    fn line(&self) -> String {
        let sign = match self.sense {
            Sense::AtMost => "≤",
            Sense::AtLeast => "≥",
        };
        let verdict = match self.met {
            Some(true) => "met",
            Some(false) => "not met",
            None => "not measured",
        };
        let value = self.value.map_or_else(|| "-".to_owned(), short);
        format!(
            "{:<60} {value:>7} {sign} {:>5} {:<6} {verdict}",
            self.what,
            short(self.bound),
            self.unit
        )
    }
}

/// What an earlier report said of a desk of another size.
#[derive(Debug, Deserialize)]
pub(super) struct Earlier {
    pub(super) tickets: u64,
    pub(super) rows: Vec<Row>,
}

/// How one line grew from one size of the desk to another.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Growth {
    pub(super) work: String,
    pub(super) connections: usize,
    /// CPU of server and PostgreSQL for each request, then and now.
    pub(super) cpu_ms: [f64; 2],
    /// The middle of the answers' times, then and now.
    pub(super) p50_ms: Option<[f64; 2]>,
}

impl Growth {
    /// The lines that both have.
    pub(super) fn between(earlier: &[Row], now: &[Row]) -> Vec<Self> {
        let grown = now.iter().filter_map(|row| {
            let same = |other: &&Row| other.work == row.work && other.connections == row.connections;
            let then = earlier.iter().find(same)?;
            Some(Self {
                work: row.work.clone(),
                connections: row.connections,
                cpu_ms: [then.api.cpu_ms(), row.api.cpu_ms()],
                p50_ms: then.api.p50_ms.zip(row.api.p50_ms).map(|(then, now)| [then, now]),
            })
        });
        grown.collect()
    }

    pub(super) fn by_cpu(&self) -> f64 {
        let [then, now] = self.cpu_ms;
        now / then
    }

    fn line(&self) -> String {
        let [then, now] = self.cpu_ms;
        let mut line = format!(
            "{:<22} {:>5} | {:>7} {:>7} {:>7} |",
            self.work,
            self.connections,
            short(then),
            short(now),
            short(now / then)
        );
        if let Some([then, now]) = self.p50_ms {
            let _ = write!(
                line,
                " {:>7} {:>7} {:>7}",
                short(then),
                short(now),
                short(now / then)
            );
        }
        line
    }
}

/// All of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// How many tickets the desk had; 0 where that does not matter.
    pub(super) tickets: u64,
    /// How many the one had that it is held beside, and how each line grew.
    pub(super) growth: Option<(u64, Vec<Growth>)>,
    pub(super) circumstances: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) remarks: Vec<String>,
    pub(super) budgets: Vec<Budget>,
}

impl Report {
    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in &self.circumstances {
            let _ = writeln!(text, "{line}");
        }
        if !self.rows.is_empty() {
            text.push('\n');
            text.push_str(&table_line(
                [
                    "", "conn.", "API", "p50", "p99", "server", "PG", "load", "memory", "pgbench", "PG",
                    "rate", "PG CPU",
                ]
                .map(str::to_owned),
            ));
            text.push_str(&table_line(
                [
                    "", "", "1/s", "ms", "ms", "CPU ms", "CPU ms", "CPU ms", "MiB", "1/s", "CPU ms", "ratio",
                    "ratio",
                ]
                .map(str::to_owned),
            ));
        }
        for row in &self.rows {
            let Row {
                work,
                connections,
                api,
                bare,
                delivery: _,
            } = row;
            let or_none = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), short);
            text.push_str(&table_line([
                work.clone(),
                connections.to_string(),
                short(api.requests_per_second),
                or_none(api.p50_ms),
                or_none(api.p99_ms),
                short(api.server_cpu_ms),
                short(api.postgres_cpu_ms),
                short(api.generator_cpu_ms),
                short(api.server_mib),
                or_none(bare.as_ref().map(|bare| bare.transactions_per_second)),
                or_none(bare.as_ref().map(|bare| bare.postgres_cpu_ms)),
                or_none(row.throughput_ratio()),
                or_none(row.postgres_ratio()),
            ]));
        }
        if let Some((earlier, lines)) = &self.growth {
            let _ = writeln!(
                text,
                "\nGrowth from {earlier} to {} tickets: CPU ms of server and PostgreSQL together, and p50 ms",
                self.tickets
            );
            let _ = writeln!(
                text,
                "{:<22} {:>5} | {:>7} {:>7} {:>7} | {:>7} {:>7} {:>7}",
                "", "conn.", "then", "now", "times", "then", "now", "times"
            );
            for line in lines {
                let _ = writeln!(text, "{}", line.line());
            }
        }
        if !self.remarks.is_empty() {
            text.push('\n');
        }
        for remark in &self.remarks {
            let _ = writeln!(text, "{remark}");
        }
        if !self.budgets.is_empty() {
            let _ = writeln!(text, "\nBudgets (a report, never a failure)");
        }
        for budget in &self.budgets {
            let _ = writeln!(text, "{}", budget.line());
        }
        text
    }
}

/// The work, the API's figures, those of pgbench, and what one is to the other.
fn table_line(cells: [String; 13]) -> String {
    let [work, connections, rest @ ..] = cells;
    let mut line = format!("{work:<22} {connections:>5}");
    for (index, cell) in rest.iter().enumerate() {
        let before = if matches!(index, 0 | 7 | 9) { " |" } else { "" };
        let _ = write!(line, "{before} {cell:>7}");
    }
    line.push('\n');
    line
}

pub(super) fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// As many places as tell something.
pub(super) fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_says_whether_it_is_met() {
        assert_eq!(
            Budget::new("a", Some(0.5), Sense::AtMost, 0.5, "ms").met,
            Some(true)
        );
        assert_eq!(
            Budget::new("a", Some(0.51), Sense::AtMost, 0.5, "ms").met,
            Some(false)
        );
        assert_eq!(
            Budget::new("a", Some(0.4), Sense::AtLeast, 0.5, "").met,
            Some(false)
        );
        let line = Budget::new("a", None, Sense::AtLeast, 0.5, "").line();
        assert!(line.ends_with("not measured"), "{line}");
    }

    #[test]
    fn growth_is_told_of_the_lines_that_both_have() {
        let row = |work: &str, cpu: f64, p50: Option<f64>| Row {
            work: work.to_owned(),
            connections: 8,
            api: ApiFigures {
                requests_per_second: 1.0,
                p50_ms: p50,
                p99_ms: p50,
                server_cpu_ms: cpu / 2.0,
                postgres_cpu_ms: cpu / 2.0,
                generator_cpu_ms: 0.0,
                server_mib: 1.0,
            },
            bare: None,
            delivery: None,
        };
        let then = [row("list", 1.0, Some(2.0)), row("bulk", 4.0, None)];
        let now = [
            row("list", 1.5, Some(5.0)),
            row("bulk", 4.0, None),
            row("new", 1.0, None),
        ];
        let growth = Growth::between(&then, &now);
        let told: Vec<(&str, f64)> = growth
            .iter()
            .map(|one| (one.work.as_str(), one.by_cpu()))
            .collect();
        assert_eq!(told, [("list", 1.5), ("bulk", 1.0)]);
        assert!(
            growth[0].line().ends_with("2.00    5.00    2.50"),
            "{}",
            growth[0].line()
        );
        assert!(growth[1].line().ends_with('|'), "{}", growth[1].line());
    }

    #[test]
    fn numbers_are_shown_with_the_places_that_count() {
        assert_eq!(short(1986.42), "1986");
        assert_eq!(short(24.61), "24.6");
        assert_eq!(short(2.345), "2.35");
        assert_eq!(short(0.1234), "0.123");
    }
}
