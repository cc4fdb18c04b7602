//! OData query options: what was asked, or why it is refused.
//!
//! Invariant: an option that an endpoint does not name is refused, never
//! ignored.

use url::form_urlencoded;

use super::refusal::Refusal;

/// Rows on a page when `$top` does not say.
pub(super) const DEFAULT_PAGE: usize = 100;

/// Values or clauses in one `$filter`.
const MAX_FILTER_TERMS: usize = 15;

/// What a request asked for.
#[derive(Debug, Default, Clone)]
pub(super) struct Query {
    pub(super) select: Option<Vec<String>>,
    pub(super) top: Option<usize>,
    pub(super) filter: Option<Vec<Clause>>,
    pub(super) count: Option<bool>,
    pub(super) skip_token: Option<String>,
}

/// One term of a `$filter`; terms are joined by `or`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Clause {
    /// `property in ('a','b')`, `property eq 'a'`.
    AnyOf(String, Vec<String>),
    /// `startswith(property,'a')`.
    StartsWith(String, String),
}

impl Clause {
    pub(super) fn property(&self) -> &str {
        match self {
            Self::AnyOf(property, _) | Self::StartsWith(property, _) => property,
        }
    }

    /// Whether a value fits; Graph compares without regard to case.
    pub(super) fn fits(&self, value: &str) -> bool {
        match self {
            Self::AnyOf(_, wanted) => wanted.iter().any(|one| one.eq_ignore_ascii_case(value)),
            Self::StartsWith(_, start) => value
                .get(..start.len())
                .is_some_and(|beginning| beginning.eq_ignore_ascii_case(start)),
        }
    }
}

impl Query {
    /// Reads a raw query string; `allowed` are the options of the endpoint.
    pub(super) fn parse(raw: &str, allowed: &[&str]) -> Result<Self, Refusal> {
        let mut query = Self::default();
        let mut seen = Vec::new();
        for (key, value) in form_urlencoded::parse(raw.as_bytes()) {
            if !allowed.contains(&key.as_ref()) {
                return Err(unknown_option(&key));
            }
            if seen.contains(&key) {
                return Err(repeated_option(&key));
            }
            query.set(&key, &value)?;
            seen.push(key);
        }
        Ok(query)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Refusal> {
        match key {
            "$select" => self.select = Some(select_names(value)?),
            "$top" => self.top = Some(page_size(value)?),
            "$filter" => self.filter = Some(parse_filter(value, MAX_FILTER_TERMS)?),
            "$count" => {
                self.count = Some(value.parse().map_err(|_| {
                    Refusal::bad_request(format!(
                        "Invalid value '{value}' for $count query option."
                    ))
                })?);
            }
            _ => self.skip_token = Some(value.to_owned()),
        }
        Ok(())
    }

    /// `$select` as one text, for `@odata.context` and for kept texts.
    pub(super) fn select_text(&self) -> String {
        self.select.as_deref().unwrap_or_default().join(",")
    }
}

/// An option that the endpoint does not have.
pub(super) fn unknown_option(key: &str) -> Refusal {
    Refusal::bad_request(format!(
        "The query specified in the URI is not valid. Query option '{key}' is not supported by \
         the requested resource."
    ))
}

/// An option that stands there twice.
pub(super) fn repeated_option(key: &str) -> Refusal {
    Refusal::bad_request(format!(
        "Query option '{key}' was specified more than once, but it must be specified at most once."
    ))
}

/// The names of a `$select`.
pub(super) fn select_names(value: &str) -> Result<Vec<String>, Refusal> {
    let names: Vec<String> = value.split(',').map(|name| name.trim().into()).collect();
    if names.iter().any(String::is_empty) {
        let why = "Parsing OData Select failed: empty name.";
        return Err(Refusal::bad_request(why));
    }
    Ok(names)
}

fn page_size(value: &str) -> Result<usize, Refusal> {
    match value.parse() {
        Ok(size @ 1..=999) => Ok(size),
        _ => Err(Refusal::unsupported(format!(
            "Invalid page size specified: '{value}'. Must be between 1 and 999 inclusive."
        ))),
    }
}

/// One word, quoted text or sign of a filter.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn invalid_filter() -> Refusal {
    Refusal::bad_request("Invalid filter clause")
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut tokens = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            ' ' => {}
            '(' | ')' | ',' => tokens.push(Token::Sign(c)),
            '\'' => {
                let mut value = String::new();
                loop {
                    match rest.next() {
                        // A doubled quote is one quote.
                        Some('\'') if rest.next_if_eq(&'\'').is_some() => value.push('\''),
                        Some('\'') => break,
                        Some(other) => value.push(other),
                        None => return Err(invalid_filter()),
                    }
                }
                tokens.push(Token::Text(value));
            }
            _ => {
                let mut word = String::from(c);
                while let Some(more) = rest.next_if(|c| !" (),'".contains(*c)) {
                    word.push(more);
                }
                tokens.push(Token::Word(word));
            }
        }
    }
    Ok(tokens)
}

/// Reads a `$filter` of at most so many terms.
pub(super) fn parse_filter(text: &str, most: usize) -> Result<Vec<Clause>, Refusal> {
    let tokens = tokens(text)?;
    let is_or = |token: &Token| matches!(token, Token::Word(word) if word == "or");
    let clauses: Vec<Clause> = tokens
        .split(is_or)
        .map(parse_clause)
        .collect::<Result<_, _>>()?;
    let terms: usize = clauses
        .iter()
        .map(|clause| match clause {
            Clause::AnyOf(_, values) => values.len(),
            Clause::StartsWith(..) => 1,
        })
        .sum();
    if terms > most {
        return Err(Refusal::unsupported(format!(
            "Too many child clauses specified in search filter expression containing 'OR' \
             operators: {terms}. Max allowed: {most}."
        )));
    }
    Ok(clauses)
}

fn parse_clause(tokens: &[Token]) -> Result<Clause, Refusal> {
    use Token::{Sign, Text, Word};
    match tokens {
        [Word(property), Word(eq), Text(value)] if eq == "eq" => {
            Ok(Clause::AnyOf(property.clone(), vec![value.clone()]))
        }
        // GUID properties may be compared without quotes.
        [Word(property), Word(eq), Word(value)] if eq == "eq" => {
            Ok(Clause::AnyOf(property.clone(), vec![value.clone()]))
        }
        [
            Word(property),
            Word(is_in),
            Sign('('),
            values @ ..,
            Sign(')'),
        ] if is_in == "in" => {
            let values = values.split(|token| *token == Sign(','));
            let values = values.map(|value| match value {
                [Text(value)] => Ok(value.clone()),
                _ => Err(invalid_filter()),
            });
            Ok(Clause::AnyOf(
                property.clone(),
                values.collect::<Result<_, _>>()?,
            ))
        }
        [
            Word(function),
            Sign('('),
            Word(property),
            Sign(','),
            Text(start),
            Sign(')'),
        ] if function == "startswith" => Ok(Clause::StartsWith(property.clone(), start.clone())),
        _ => Err(invalid_filter()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_form_decoded_as_the_sdk_encodes_them() {
        let raw = "%24filter=id+in+%28%27a%27%2C%27b%27%29&%24top=999&%24select=id%2Cmail";
        let query = Query::parse(raw, &["$filter", "$top", "$select"]).unwrap();
        let wanted = Clause::AnyOf("id".into(), vec!["a".into(), "b".into()]);
        assert_eq!(query.filter, Some(vec![wanted]));
        assert_eq!(query.top, Some(999));
        assert_eq!(query.select_text(), "id,mail");
    }

    #[test]
    fn an_unknown_option_a_repeated_one_and_a_page_too_large_are_refused() {
        for raw in [
            "top=5",
            "%24skip=1",
            "$top=1&$top=2",
            "$top=1000",
            "$top=0",
            "$top=x",
        ] {
            assert!(Query::parse(raw, &["$top"]).is_err(), "{raw}");
        }
    }

    #[test]
    fn a_filter_has_at_most_fifteen_terms() {
        let values = vec!["'x'"; 16].join(",");
        let refusal = parse_filter(&format!("id in ({values})"), 15).unwrap_err();
        assert_eq!(refusal.code, "Request_UnsupportedQuery");
        assert!(parse_filter("id eq 'a' or id eq 'it''s'", 15).is_ok());
        assert!(parse_filter("startswith(mail,'a')", 15).is_ok());
        assert!(parse_filter("id in ('a',)", 15).is_err());
        assert!(parse_filter("id eq 'a", 15).is_err());
    }
}
