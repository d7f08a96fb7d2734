//! How the demo shows numbers to people.

use std::time::Duration;

/// One line of the result.
pub(super) struct Row {
    /// What was done.
    pub(super) step: String,
    /// How long the whole process took.
    pub(super) time: Duration,
    /// What the cache occupies afterwards, in bytes.
    pub(super) cache_bytes: u64,
    /// By how much the cache grew.
    pub(super) added_bytes: u64,
    /// Why this is worth seeing.
    pub(super) meaning: String,
}

/// The rows as a table, each with its explanation in a line below.
pub(super) fn render(rows: &[Row]) -> String {
    let step_width = rows.iter().map(|row| row.step.len()).max().unwrap_or(0);
    let mut text = format!(
        "   {:<step_width$}  {:>8}  {:>10}  {:>10}\n",
        "step", "time", "cache size", "growth"
    );
    for (index, row) in rows.iter().enumerate() {
        let growth = match row.added_bytes {
            0 => "-".to_owned(),
            bytes => format!("+{}", size(bytes)),
        };
        text.push_str(&format!(
            "{}  {:<step_width$}  {:>8}  {:>10}  {:>10}\n   {}\n",
            index + 1,
            row.step,
            seconds(row.time),
            size(row.cache_bytes),
            growth,
            row.meaning
        ));
    }
    text
}

/// A number of bytes in decimal units.
pub(super) fn size(bytes: u64) -> String {
    let (unit, divisor) = match bytes {
        0..1_000 => return format!("{bytes} B"),
        1_000..1_000_000 => ("kB", 1e3),
        1_000_000..1_000_000_000 => ("MB", 1e6),
        _ => ("GB", 1e9),
    };
    format!("{:.1} {unit}", bytes as f64 / divisor)
}

fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        let sizes = [999, 1_000, 1_550_000, 2_000_000_000].map(size);
        assert_eq!(sizes, ["999 B", "1.0 kB", "1.6 MB", "2.0 GB"]);
    }

    #[test]
    fn columns_are_aligned() {
        let row = |step: &str, added_bytes| Row {
            step: step.into(),
            time: Duration::from_millis(1_234),
            cache_bytes: 5_000_000,
            added_bytes,
            meaning: "because".into(),
        };
        let expected = "   step      time  cache size      growth
1  a      1.234 s      5.0 MB       +20 B
   because
2  long   1.234 s      5.0 MB           -
   because
";
        assert_eq!(render(&[row("a", 20), row("long", 0)]), expected);
    }
}
