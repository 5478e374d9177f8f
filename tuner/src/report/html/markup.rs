//! The small pieces of HTML. Every text of others passes [`escape`]; nothing here writes a style attribute or an event
//! handler, which the page's own policy would refuse.

use crate::report::columns::plain;

/// Safe between tags and inside double-quoted attributes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Lines stay lines.
pub fn escape_lines(text: &str) -> String {
    text.lines().map(|line| escape(line) + "\n").collect()
}

/// A numbered part of the page: its title and one sentence beside, the body (HTML) below.
pub fn section(id: &str, title: &str, lead: &str, body: &str) -> String {
    let (title, lead) = (escape(title), escape(lead));
    format!(
        "<section id=\"{id}\" aria-labelledby=\"{id}-title\"><div class=\"margin\"><h2 id=\"{id}-title\">{title}</h2>\
         <p>{lead}</p></div><div class=\"body\">{body}</div></section>\n"
    )
}

/// Instead of something that cannot be shown.
pub fn absent(sentence: &str) -> String {
    format!("<p class=\"absent\">{}</p>", escape(sentence))
}

/// Text in cells; the first of each row names it. Scrolls by itself when it is wider than the page.
pub fn table(name: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let heads: String = head.iter().map(|cell| format!("<th scope=\"col\">{}</th>", escape(cell))).collect();
    let body: String = rows.iter().map(|row| line(row)).collect();
    format!(
        "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"{}\"><table><thead><tr>{heads}</tr></thead>\
         <tbody>{body}</tbody></table></div>",
        escape(name)
    )
}

/// A row of one cell is a heading within the table.
fn line(row: &[String]) -> String {
    match row {
        [one] => format!("<tr class=\"part\"><th scope=\"rowgroup\">{}</th></tr>", escape(one)),
        [first, rest @ ..] => {
            let cells: String = rest.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
            format!("<tr><th scope=\"row\">{}</th>{cells}</tr>", escape(first))
        }
        [] => String::new(),
    }
}

/// Sentences as a list; nothing without any.
pub fn list<'a>(class: &str, sentences: impl IntoIterator<Item = &'a String>) -> String {
    let items: String = sentences.into_iter().map(|one| format!("<li>{}</li>", escape(one))).collect();
    if items.is_empty() { items } else { format!("<ul class=\"{class}\">{items}</ul>") }
}

/// Names of colours: class and text.
pub fn legend<'a>(keys: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let keys: String = keys
        .into_iter()
        .map(|(class, text)| format!("<li><i class=\"key {class}\"></i>{}</li>", escape(&text)))
        .collect();
    format!("<ul class=\"legend\">{keys}</ul>")
}

/// A drawing made for a wide page: on a narrow one it scrolls by itself, instead of shrinking until nobody can read it.
pub fn wide(drawing: &str) -> String {
    format!("<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Chart\">{drawing}</div>")
}

/// A drawing with its title above and its legend (HTML) below.
pub fn figure(title: &str, drawing: &str, below: &str) -> String {
    format!("<figure><figcaption>{}</figcaption>{drawing}{below}</figure>", escape(title))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out_of_its_place() {
        assert_eq!(escape("</a><b c=\"d'&\x00"), "&lt;/a&gt;&lt;b c=&quot;d&#39;&amp; ");
        assert_eq!(list("x", &["<i>".to_owned()]), "<ul class=\"x\"><li>&lt;i&gt;</li></ul>");
        assert!(table("<", &["<h>".into()], &[vec!["<r>".into(), "<d>".into()]]).matches("&lt;").count() == 4);
    }
}
