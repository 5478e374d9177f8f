//! A report as titled sections of tables and lines, which becomes text for a terminal or Markdown.

use super::table::Table;

#[derive(Default)]
pub struct Section {
    pub title: String,
    /// Before the table.
    pub lead: Vec<String>,
    pub table: Option<Table>,
    /// Drawn with characters.
    pub figure: String,
    /// Below all.
    pub notes: Vec<String>,
}

impl Section {
    pub fn new(title: &str) -> Self {
        Self { title: title.to_owned(), ..Self::default() }
    }
}

/// Sections as a terminal shows them, with a head line.
pub fn text(head: &str, sections: &[Section]) -> String {
    let mut out = format!("{head}\n");
    for section in sections {
        out.push('\n');
        out.push_str(&section.title);
        out.push('\n');
        let mut body = section.lead.iter().map(|line| format!("{line}\n")).collect::<String>();
        body.push_str(&section.table.as_ref().map_or_else(String::new, Table::render));
        body.push_str(&section.figure);
        body.extend(section.notes.iter().map(|line| format!("{line}\n")));
        for line in body.lines() {
            out.push_str(format!("  {line}").trim_end());
            out.push('\n');
        }
    }
    out
}

/// The same as Markdown.
pub fn markdown(head: &str, sections: &[Section]) -> String {
    let mut out = format!("# {head}\n");
    for section in sections {
        out.push_str(&format!("\n## {}\n\n", section.title));
        section.lead.iter().for_each(|line| out.push_str(&format!("- {line}\n")));
        if let Some(table) = &section.table {
            if !section.lead.is_empty() {
                out.push('\n');
            }
            out.push_str(&table.markdown());
        }
        if !section.figure.is_empty() {
            out.push_str(&format!("\n```\n{}```\n", section.figure));
        }
        section.notes.iter().for_each(|line| out.push_str(&format!("\n{line}\n")));
    }
    out
}

/// Every number and text of a JSON value, one line each: its path, then the value.
pub fn csv(value: &serde_json::Value) -> String {
    let mut out = "name,value\n".to_owned();
    flatten(value, String::new(), &mut out);
    out
}

fn flatten(value: &serde_json::Value, path: String, out: &mut String) {
    use serde_json::Value;
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        Value::Object(map) => map.iter().for_each(|(name, value)| flatten(value, below(name), out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, value)| flatten(value, below(&n.to_string()), out));
        }
        Value::Null => out.push_str(&format!("{path},\n")),
        Value::String(text) => out.push_str(&format!("{path},{}\n", csv_text(text))),
        other => out.push_str(&format!("{path},{other}\n")),
    }
}

/// Quoted where a comma, a quote or a line's end would be misread.
pub fn csv_text(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sections() -> Vec<Section> {
        let mut table = Table::new(&["name", "n"]);
        table.row(vec!["a|b".into(), "1".into()]);
        vec![Section {
            lead: vec!["first".into()],
            table: Some(table),
            figure: " x\n".into(),
            notes: vec!["last".into()],
            ..Section::new("Title")
        }]
    }

    #[test]
    fn text_is_indented_and_markdown_keeps_its_columns() {
        assert_eq!(text("Head", &sections()), "Head\n\nTitle\n  first\n  name  n\n  a|b   1\n   x\n  last\n");
        let expected =
            "# Head\n\n## Title\n\n- first\n\n| name | n |\n|---|--:|\n| a\\|b | 1 |\n\n```\n x\n```\n\nlast\n";
        assert_eq!(markdown("Head", &sections()), expected);
    }

    #[test]
    fn csv_has_a_line_for_each_value() {
        let value = serde_json::json!({"a": {"b": [1, 2.5]}, "c": "x,\"y\"", "d": null});
        assert_eq!(csv(&value), "name,value\na.b.0,1\na.b.1,2.5\nc,\"x,\"\"y\"\"\"\nd,\n");
    }
}
