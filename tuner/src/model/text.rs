//! A model as text: one line for each list of quantiles, comments where a person wants to know more.

use std::fmt::Write;

use super::settings::StoreModel;

/// The file. `notes[i]`, where there is one, stands above the i-th cell.
pub fn write(model: &StoreModel, notes: &[String]) -> String {
    let head = StoreModel { service: Vec::new(), ..model.clone() };
    // Numbers and strings only: nothing in it that TOML could not hold.
    let head = toml::to_string(&head).expect("a model is plain data");
    let mut text = head.replacen("service = []\n", "", 1);
    for (index, cell) in model.service.iter().enumerate() {
        let _ = writeln!(text);
        if let Some(note) = notes.get(index).filter(|note| !note.is_empty()) {
            note.lines().for_each(|line| _ = writeln!(text, "# {line}"));
        }
        let ms: Vec<String> = cell.ms.iter().map(|ms| format!("{ms:?}")).collect();
        let _ = writeln!(
            text,
            "[[service]]\noperation = \"{}\"\nsize = {}\nconcurrency = {}\nsamples = {}\nms = [{}]",
            cell.operation.name(),
            cell.size,
            cell.concurrency,
            cell.samples,
            ms.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shipped;

    #[test]
    fn what_is_written_is_read_again() {
        let mut model = shipped::standard();
        model.name = "a \"name\"\nof two lines".into();
        let text = write(&model, &["first\nsecond".into()]);
        assert!(text.contains("# first\n# second\n[[service]]"), "{text}");
        assert_eq!(StoreModel::parse(&text).unwrap(), model);
    }
}
