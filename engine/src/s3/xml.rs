//! The little XML that S3 speaks: elements by their path, and text made safe. No namespaces, no attributes.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// Calls `visit` with the path (`["Error", "Code"]`, without namespace prefixes) and the text of every element, at
/// its end. Answers `None` when the text is not well-formed XML with a root element.
pub(super) fn visit(xml: &[u8], mut visit: impl FnMut(&[&str], &str)) -> Option<()> {
    let xml = std::str::from_utf8(xml).ok()?;
    let mut reader = Reader::from_str(xml);
    let mut path: Vec<(String, String)> = Vec::new();
    let mut seen_root = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                path.push((start.local_name().into_inner().to_string(), String::new()));
                seen_root = true;
            }
            Event::Empty(empty) => {
                seen_root = true;
                let name = empty.local_name();
                let mut names: Vec<&str> = path.iter().map(|(name, _)| name.as_str()).collect();
                names.push(name.into_inner());
                visit(&names, "");
            }
            Event::Text(text) => append(&mut path, &text.into_inner()),
            Event::CData(text) => append(&mut path, &text.into_inner()),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().ok()?.map(String::from);
                let name = reference.into_inner();
                append(&mut path, character.as_deref().or_else(|| resolve_predefined_entity(&name))?);
            }
            Event::End(_) => {
                let names: Vec<&str> = path.iter().map(|(name, _)| name.as_str()).collect();
                visit(&names, &path.last()?.1);
                path.pop();
            }
            Event::Eof => return (seen_root && path.is_empty()).then_some(()),
            _ => {}
        }
    }
}

fn append(path: &mut [(String, String)], text: &str) {
    if let Some((_, collected)) = path.last_mut() {
        collected.push_str(text);
    }
}

/// Text of an element. `None`: XML cannot carry it, escaped or not.
pub(super) fn escape(text: &str) -> Option<String> {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&apos;"),
            '"' => escaped.push_str("&quot;"),
            // Parsers normalise these when they stand as they are.
            '\t' | '\n' | '\r' => escaped.push_str(&format!("&#{};", u32::from(character))),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => return None,
            _ => escaped.push(character),
        }
    }
    Some(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(xml: &str) -> Option<Vec<(String, String)>> {
        let mut seen = Vec::new();
        visit(xml.as_bytes(), |path, text| seen.push((path.join("/"), text.to_string())))?;
        Some(seen)
    }

    #[test]
    fn elements_come_with_their_path_and_text() {
        let xml = "<?xml version=\"1.0\"?><E xmlns=\"u\"><s3:C>a&amp;b&#x20;<![CDATA[<]]></s3:C><M/></E>";
        let expected = [("E/C", "a&b <"), ("E/M", ""), ("E", "")].map(|(p, t)| (p.to_string(), t.to_string()));
        assert_eq!(all(xml).unwrap(), expected);
    }

    #[test]
    fn what_is_not_xml_is_nothing() {
        for text in ["", "plain", "<html><br>", "<a>", "<a></b>", "<a>&bogus;</a>", "\u{0}"] {
            assert_eq!(all(text), None, "{text}");
        }
    }

    #[test]
    fn escaped_text_comes_back() {
        let key = "a&b <c> 'd' \"e\" é\r\n\t]]>";
        let seen = all(&format!("<K>{}</K>", escape(key).unwrap())).unwrap();
        assert_eq!(seen, [("K".to_string(), key.to_string())]);
        assert_eq!(escape("a\u{1}b"), None);
    }
}
