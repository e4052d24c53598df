//! How mistakes are shown: to people as rustc shows them, to editors as JSON.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::lines::Lines;
use super::{Diagnostic, Mistakes, Place};

/// Who sees this many has lost the thread long before.
const MOST: usize = 100;

/// Lines longer than this are not shown, nor two places that lie further apart, in bytes.
const LONGEST: usize = 1 << 16;

impl Mistakes {
    /// All of them with their lines of the file, as rustc shows them, with an empty line between two.
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours { Renderer::styled() } else { Renderer::plain() };
        let lines = Lines::new(&self.text);
        let shown: Vec<String> = self
            .diagnostics
            .iter()
            .take(MOST)
            .map(|diagnostic| self.render_one(diagnostic, &lines, &renderer))
            .collect();
        let mut text = shown.join("\n\n");
        if let Some(more) = self.diagnostics.len().checked_sub(MOST).filter(|&more| more > 0) {
            text.push_str(&format!("\n\nerror: and {more} more mistakes"));
        }
        text.push('\n');
        text
    }

    fn render_one(&self, diagnostic: &Diagnostic, lines: &Lines<'_>, renderer: &Renderer) -> String {
        let title = Level::ERROR.primary_title(diagnostic.message.as_str());
        let path = self.path.to_string_lossy();
        let place = diagnostic.place.within(&self.text).0;
        let also = diagnostic.also.as_ref().map(|(place, label)| (place.within(&self.text).0, label));
        // Only the lines in question, so that a long file with many mistakes is not read again for each.
        let around =
            |from: usize, to: usize| Some(lines.start(from)..lines.end(to)).filter(|part| part.len() <= LONGEST);
        let both = also.and_then(|(other, label)| {
            Some((around(place.start.min(other.start), place.end.max(other.end))?, Some((other, label))))
        });
        let Some((part, also)) = both.or_else(|| Some((around(place.start, place.end)?, None))) else {
            let origin = Origin::path(path).line(lines.line(place.start)).char_column(lines.column(place.start));
            return renderer.render(&[title.element(origin)]);
        };

        let shift = |span: Range<usize>| span.start - part.start..span.end - part.start;
        let label = Some(diagnostic.hint.as_str()).filter(|hint| !hint.is_empty());
        let mut snippet = Snippet::source(&self.text[part.clone()])
            .line_start(lines.line(part.start))
            .path(path)
            .annotation(AnnotationKind::Primary.span(shift(place)).label(label));
        if let Some((other, label)) = also {
            snippet = snippet.annotation(AnnotationKind::Context.span(shift(other)).label(label.as_str()));
        }
        renderer.render(&[title.element(snippet)])
    }

    /// One JSON object a line: `"severity": "error"`, message, hint, file, line and column (both from 1, in characters), and the end.
    pub fn json(&self) -> String {
        let file = self.path.to_string_lossy();
        let lines = Lines::new(&self.text);
        let position = |at| Position { line: lines.line(at), column: lines.column(at) };
        let items = self.diagnostics.iter().map(|diagnostic| {
            let Place(span) = diagnostic.place.within(&self.text);
            let (start, end) = (position(span.start), position(span.end));
            let item = Item {
                severity: "error",
                message: &diagnostic.message,
                hint: &diagnostic.hint,
                file: &file,
                line: start.line,
                column: start.column,
                end,
            };
            serde_json::to_string(&item).unwrap_or_default() + "\n"
        });
        items.collect()
    }
}

#[derive(Serialize)]
struct Item<'a> {
    severity: &'static str,
    message: &'a str,
    hint: &'a str,
    file: &'a str,
    line: usize,
    column: usize,
    end: Position,
}

#[derive(Serialize)]
struct Position {
    line: usize,
    column: usize,
}
