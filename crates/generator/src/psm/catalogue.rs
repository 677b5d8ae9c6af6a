//! The product catalogue: from CSV text, or generated from a seed.

use std::collections::HashMap;

use crate::random::EventRandom;

/// The header row of a catalogue.
const HEADER: &str = "product,category,owner";
/// Maximum number of products: 32-bit indices, and the memory of a small machine.
pub(super) const MOST_PRODUCTS: usize = 1 << 24;

/// A product with its category and owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Product {
    /// Its id.
    pub product: i64,
    /// Id of its category.
    pub category: i64,
    /// Id of the shop that offers it.
    pub owner: i64,
}

/// At least one product. With Zipf's law the first one is the most popular.
#[derive(Debug, Clone)]
pub struct Catalogue {
    products: Vec<Product>,
}

/// An invalid line of a catalogue, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct CatalogueError {
    /// Line number, from 1.
    pub line: usize,
    /// The problem.
    pub problem: String,
}

impl CatalogueError {
    fn new(line: usize, problem: impl Into<String>) -> Self {
        CatalogueError { line, problem: problem.into() }
    }
}

impl Catalogue {
    /// Parses `product,category,owner`: that header, then three integers per line.
    ///
    /// # Errors
    /// A missing header, a line that is not three integers, a duplicate product, no product, or more than 2^24.
    pub fn parse(text: &str) -> Result<Catalogue, CatalogueError> {
        let mut lines = (1..).zip(text.lines());
        match lines.next() {
            None => {
                return Err(CatalogueError::new(
                    1,
                    format!("the file is empty; it must start with {HEADER:?}"),
                ));
            }
            Some((_, header)) if header.trim_start_matches('\u{feff}').trim() == HEADER => {}
            Some((line, other)) => {
                return Err(CatalogueError::new(line, format!("{other:?} is not the header {HEADER:?}")));
            }
        }
        let mut products = Vec::new();
        let mut seen: HashMap<i64, usize> = HashMap::new();
        // Editors and spreadsheets append empty lines.
        let written = text.trim_end().lines().count();
        for (line, text) in lines.take_while(|(line, _)| *line <= written) {
            let product = parse_line(text).map_err(|problem| CatalogueError::new(line, problem))?;
            if let Some(first) = seen.insert(product.product, line) {
                let problem = format!("duplicate product {}, first in line {first}", product.product);
                return Err(CatalogueError::new(line, problem));
            }
            if products.len() == MOST_PRODUCTS {
                return Err(CatalogueError::new(line, format!("more than {MOST_PRODUCTS} products")));
            }
            products.push(product);
        }
        if products.is_empty() {
            return Err(CatalogueError::new(1, "no products after the header"));
        }
        Ok(Catalogue { products })
    }

    /// Generates products 0 to `products` − 1, with uniformly drawn category and owner.
    pub(super) fn made(products: usize, categories: u64, owners: u64, seed: u64) -> Catalogue {
        const CATEGORY: u64 = 0;
        const OWNER: u64 = 1;
        let seed = EventRandom::spread_seed(seed ^ 0x5053_4d00);
        let product = |number: usize| {
            let random = EventRandom::new(seed, number as u64);
            Product {
                product: number as i64,
                category: random.below(CATEGORY, categories) as i64,
                owner: random.below(OWNER, owners) as i64,
            }
        };
        Catalogue { products: (0..products).map(product).collect() }
    }

    /// Returns the number of products.
    #[expect(clippy::len_without_is_empty, reason = "there is no empty catalogue")]
    pub fn len(&self) -> usize {
        self.products.len()
    }

    #[inline]
    pub(super) fn product(&self, place: usize) -> Product {
        self.products[place]
    }
}

fn parse_line(text: &str) -> Result<Product, String> {
    let columns: Vec<&str> = text.split(',').map(str::trim).collect();
    let [product, category, owner] = columns[..] else {
        return Err(format!("{} columns instead of 3 ({HEADER})", columns.len()));
    };
    let number = |name: &str, text: &str| {
        text.parse::<i64>().map_err(|error| format!("{name} {text:?} is not a whole number: {error}"))
    };
    Ok(Product {
        product: number("product", product)?,
        category: number("category", category)?,
        owner: number("owner", owner)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_is_read_as_written() {
        let catalogue = Catalogue::parse("product,category,owner\r\n7,1,2\r\n -3 , 4 ,5\n").unwrap();
        assert_eq!(catalogue.len(), 2);
        assert_eq!(
            Catalogue::parse("product,category,owner\n7,1,2\n\n \n").unwrap().len(),
            1,
            "empty lines at the end"
        );
        assert_eq!(catalogue.product(1), Product { product: -3, category: 4, owner: 5 });
    }

    #[test]
    fn unreadable_lines_are_named() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Catalogue::parse(text).unwrap_err().to_string(), expected, "{text:?}");
        };
        check("", "line 1: the file is empty; it must start with \"product,category,owner\"");
        check("1,2,3\n", "line 1: \"1,2,3\" is not the header \"product,category,owner\"");
        check("product,category,owner\n", "line 1: no products after the header");
        check(
            "product,category,owner\n1,2,3\n1,2\n",
            "line 3: 2 columns instead of 3 (product,category,owner)",
        );
        check(
            "product,category,owner\n1,2,3\n\n4,5,6",
            "line 3: 1 columns instead of 3 (product,category,owner)",
        );
        check(
            "product,category,owner\n1,two,3\n",
            "line 2: category \"two\" is not a whole number: invalid digit found in string",
        );
        check(
            "product,category,owner\n5,2,3\n6,2,3\n5,1,1\n",
            "line 4: duplicate product 5, first in line 2",
        );
    }
}
