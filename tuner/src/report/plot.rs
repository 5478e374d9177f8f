//! Curves as text, for a terminal: shares from 0 to 100 % over a few columns.

/// Rows from 100 % to 0 %.
const ROWS: usize = 17;
/// Characters from one point to the next.
const STEP: usize = 3;

/// One curve; its values are shares, 0 to 1.
pub struct Line {
    pub mark: char,
    pub values: Vec<f64>,
}

/// Draws curves over columns with these names. Where curves meet, the first one's mark is seen. With a newline at the end.
pub fn plot(columns: &[String], lines: &[Line]) -> String {
    let width = columns.len().saturating_sub(1) * STEP + 1;
    let mut rows = vec![vec![' '; width]; ROWS];
    for line in lines.iter().rev() {
        for (at, value) in between(&line.values).into_iter().enumerate().take(width) {
            let row = ((1.0 - value.clamp(0.0, 1.0)) * (ROWS - 1) as f64).round() as usize;
            rows[row][at] = line.mark;
        }
    }
    let mut out = String::new();
    for (n, row) in rows.iter().enumerate() {
        let label = if n % 4 == 0 { format!("{} %", 100 - 100 * n / (ROWS - 1)) } else { String::new() };
        let edge = if n % 4 == 0 { '┤' } else { '│' };
        let text: String = row.iter().collect();
        out.push_str(format!("{label:>6} {edge} {}", text.trim_end()).trim_end());
        out.push('\n');
    }
    out.push_str(&axis(columns, width));
    out
}

/// The values at every character: at the points themselves, and on straight lines from one to the next.
fn between(values: &[f64]) -> Vec<f64> {
    let mut all = Vec::new();
    for pair in values.windows(2) {
        all.extend((0..STEP).map(|n| pair[0] + (pair[1] - pair[0]) * n as f64 / STEP as f64));
    }
    all.extend(values.last());
    all
}

/// The line below, and as many of the names as fit under their points.
fn axis(columns: &[String], width: usize) -> String {
    let (mut ticks, mut names) = (vec!['─'; width], String::new());
    for (n, name) in columns.iter().enumerate() {
        let at = n * STEP;
        let free = names.chars().count();
        let begin = at.saturating_sub(name.chars().count().saturating_sub(1) / 2);
        // The first name may begin at once; others leave a gap.
        if begin > free || free == 0 {
            ticks[at] = '┴';
            names.push_str(&" ".repeat(begin - free.min(begin)));
            names.push_str(name);
        }
    }
    format!("{:>6} └─{}\n{:>8} {names}\n", "", ticks.into_iter().collect::<String>(), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_stand_where_their_values_are() {
        let columns = ["1m", "2m", "4m", "8m"].map(str::to_owned);
        let falling = Line { mark: 'a', values: vec![1.0, 1.0, 0.5, 0.0] };
        let flat = Line { mark: 'b', values: vec![0.5; 4] };
        let text = plot(&columns, &[falling, flat]);
        let rows: Vec<&str> = text.lines().collect();
        assert_eq!(rows[0], " 100 % ┤ aaaa");
        assert_eq!(rows[8], "  50 % ┤ bbbbbbabbb");
        assert_eq!(rows[16], "   0 % ┤          a");
        assert_eq!(rows[17], "       └─┴──┴──┴──┴");
        assert_eq!(rows[18], "         1m 2m 4m 8m");
        assert_eq!(plot(&[], &[]).lines().count(), ROWS + 2);
    }

    #[test]
    fn names_that_do_not_fit_are_left_out() {
        let columns: Vec<String> = (0..8).map(|n| format!("{}m", 100 + n)).collect();
        let text = plot(&columns, &[]);
        assert!(text.contains("100m") && !text.contains("101m") && text.contains("102m"), "{text}");
    }
}
