//! A table that fits a terminal: long names are truncated in the middle, and columns that do not fit go to a further
//! table below, with the names repeated.

use comfy_table::{CellAlignment, Table, TableStyle, presets};

/// Spaces around each cell, and between columns.
const PADDING: usize = 2;
const BETWEEN: usize = 1;
/// Minimum length of a truncated name, in characters.
const NAME_LEAST: usize = 16;

/// A table whose first column names its rows.
#[derive(Debug, Clone)]
pub struct Grid {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
    style: TableStyle,
}

impl Grid {
    /// Creates a table with these headers; the first is that of the names.
    pub fn new(heads: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let heads = heads.into_iter().map(Into::into).collect();
        Self { heads, rows: Vec::new(), style: presets::UTF8_HORIZONTAL_ONLY }
    }

    /// Returns the table without lines.
    #[must_use]
    pub fn without_lines(self) -> Self {
        Self { style: presets::NOTHING, ..self }
    }

    /// Adds a row; surplus cells are dropped.
    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        let mut row: Vec<String> = cells.into_iter().map(Into::into).collect();
        row.resize(self.heads.len(), String::new());
        self.rows.push(row);
    }

    /// Renders the table with lines of at most `width` columns, as far as names and single cells fit; [`None`]:
    /// unlimited.
    pub fn render(&self, width: Option<usize>) -> String {
        let widths = self.widths();
        let Some((name_width, figures)) = widths.split_first() else { return String::new() };
        let whole = widths.iter().map(|width| width + BETWEEN).sum::<usize>();
        let Some(width) = width.filter(|width| whole > *width) else {
            return self.part(1..self.heads.len(), usize::MAX);
        };
        let name_most = (*name_width).min((width / 3).max(NAME_LEAST + PADDING));
        let (mut parts, mut from, mut used) = (Vec::new(), 1, name_most);
        for (column, figure_width) in figures.iter().enumerate().map(|(index, width)| (index + 1, width)) {
            let figure_width = figure_width + BETWEEN;
            if used + figure_width > width && column > from {
                parts.push(from..column);
                (from, used) = (column, name_most);
            }
            used += figure_width;
        }
        parts.push(from..self.heads.len());
        let texts: Vec<String> = parts.into_iter().map(|part| self.part(part, name_most - PADDING)).collect();
        texts.join("\n")
    }

    /// Returns the width of each column with its padding.
    fn widths(&self) -> Vec<usize> {
        let of = |column: usize| {
            let cells = self.rows.iter().map(|row| &row[column]).chain([&self.heads[column]]);
            cells.flat_map(|cell| cell.lines()).map(|line| line.chars().count()).max().unwrap_or(0) + PADDING
        };
        (0..self.heads.len()).map(of).collect()
    }

    fn part(&self, columns: std::ops::Range<usize>, name_most: usize) -> String {
        let mut table = Table::new();
        table.load_style(self.style);
        let head = self.heads[..1].iter().chain(&self.heads[columns.clone()]);
        table.set_header(head.cloned().collect::<Vec<_>>());
        for row in &self.rows {
            let name = cut(&row[0], name_most);
            table.add_row(std::iter::once(name).chain(row[columns.clone()].iter().cloned()));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let text = table.to_string();
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
    }
}

/// Truncates a text in the middle: beginning and end both distinguish names.
fn cut(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most || most == 0 {
        return text.to_owned();
    }
    let (front, back) = (most / 2, most - 1 - most / 2);
    let beginning: String = text.chars().take(front).collect();
    let end: String = text.chars().skip(count - back).collect();
    format!("{beginning}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        let mut grid =
            Grid::new(["operator", "in/s", "out/s", "true rate/s", "busy", "backlog", "watermark lag"]);
        let figures = ["12345", "1234", "98765", "70 %", "1234567", "12345 ms"];
        for topic in ["orders", "payments"] {
            let name = format!("Source: kafka of the warehouse of the south, topic {topic}");
            grid.row(std::iter::once(name.as_str()).chain(figures));
        }
        grid
    }

    /// Goal: at every width from 40 columns on no line is wider, no cell is lost, and rows are distinguishable.
    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let wide = grid().render(None);
        assert!(
            wide.lines().all(|line| line.chars().count() > 100 || line.contains('─') || line.contains('═'))
        );
        for width in 40..160 {
            let text = grid().render(Some(width));
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= width, "{widest} of {width}:\n{text}");
            for part in ["12345 ms", "1234567", "70 %", "98765", "orders", "yments", "watermark lag"] {
                assert!(text.contains(part), "{part} is missing at {width}:\n{text}");
            }
        }
        assert_eq!(grid().render(Some(200)), wide);
    }

    /// Goal: a name that is too long keeps its beginning and its end.
    #[test]
    fn names_are_cut_in_the_middle() {
        assert_eq!(cut("kafka-source-orders", 10), "kafka…ders");
        assert_eq!(cut("short", 10), "short");
    }
}
