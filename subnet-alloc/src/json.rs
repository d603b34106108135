//! Reading JSON as flannel (Go) does, from writers we do not trust: keys in any case, the last one wins, `null` is absent.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of one JSON object in their order, each still as text.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// Why a text is not an object that we are willing to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadJson {
    /// Larger than anyone needs.
    #[error("it has {size} bytes, more than the {limit} that are accepted")]
    TooLarge {
        /// Bytes of the text.
        size: usize,
        /// The most that is read.
        limit: usize,
    },
    /// Nested deeper than anyone needs.
    #[error("it is nested deeper than {limit} levels")]
    TooDeep {
        /// The deepest nesting that is read.
        limit: usize,
    },
    /// Nothing is written there.
    #[error("it is empty")]
    Empty,
    /// Not JSON, or not an object.
    #[error("it is not a JSON object: {0}")]
    Syntax(String),
    /// One member has a value of the wrong kind.
    #[error("{key} is {value}: {why}")]
    Value {
        /// The key, in flannel's spelling.
        key: &'static str,
        /// The value, cut to 80 characters.
        value: String,
        /// What was expected.
        why: String,
    },
}

/// The longest part of a reason, in characters: it may quote what was written.
pub(crate) const LONGEST: usize = 200;

/// The deepest nesting that is read; flannel's own texts have two levels.
const DEEPEST: usize = 32;

impl<'a> Fields<'a> {
    /// Reads an object of at most `limit` bytes.
    pub(crate) fn read(text: &'a [u8], limit: usize) -> Result<Fields<'a>, BadJson> {
        serde_json::from_str(checked(text, limit)?).map_err(|why| syntax(&why))
    }

    /// A member as text; `null` counts as absent.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        let is_it = |(name, _): &&(Cow<'a, str>, &'a RawValue)| name.eq_ignore_ascii_case(key);
        let (_, value) = self.0.iter().rev().find(is_it)?;
        Some(*value).filter(|value| value.get() != "null")
    }

    /// A member as a `T`.
    pub(crate) fn take<T: Deserialize<'a>>(&self, key: &'static str) -> Result<Option<T>, BadJson> {
        take(key, self.raw(key))
    }

    /// All members.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (&**key, *value))
    }
}

/// The members of an object of at most `limit` bytes that have these names, in the order of the names; `null` counts as absent.
/// For what there may be tens of thousands of: it keeps no others.
pub(crate) fn members<'a, const N: usize>(
    text: &'a [u8],
    limit: usize,
    names: &[&str; N],
) -> Result<[Option<&'a RawValue>; N], BadJson> {
    let mut reader = serde_json::Deserializer::from_str(checked(text, limit)?);
    let found = Named(names).deserialize(&mut reader);
    let found = found.and_then(|found| reader.end().map(|()| found));
    found.map_err(|why| syntax(&why))
}

/// A member as a `T`.
pub(crate) fn take<'a, T: Deserialize<'a>>(
    key: &'static str,
    value: Option<&'a RawValue>,
) -> Result<Option<T>, BadJson> {
    let Some(raw) = value else {
        return Ok(None);
    };
    match serde_json::from_str(raw.get()) {
        Ok(value) => Ok(Some(value)),
        Err(why) => Err(bad_value(key, raw.get(), &why.to_string())),
    }
}

/// A member that is a string.
pub(crate) fn text<'a>(
    key: &'static str,
    value: Option<&'a RawValue>,
) -> Result<Option<Cow<'a, str>>, BadJson> {
    match value.and_then(|raw| plain(raw.get())) {
        Some(text) => Ok(Some(Cow::Borrowed(text))),
        None => Ok(take(key, value)?.map(|Text(text)| text)),
    }
}

/// The text of an object that we are willing to read.
fn checked(text: &[u8], limit: usize) -> Result<&str, BadJson> {
    let size = text.len();
    if size > limit {
        return Err(BadJson::TooLarge { size, limit });
    }
    if text.trim_ascii().is_empty() {
        return Err(BadJson::Empty);
    }
    if is_deeper(text, DEEPEST) {
        return Err(BadJson::TooDeep { limit: DEEPEST });
    }
    // Once for all of it, and not again for each string in it.
    str::from_utf8(text).map_err(|why| syntax(&why))
}

/// What is in a string with nothing escaped, as nearly all are: the value is known to be right JSON.
fn plain(value: &str) -> Option<&str> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?;
    (!text.contains('\\')).then_some(text)
}

fn syntax(why: &dyn fmt::Display) -> BadJson {
    BadJson::Syntax(shown(&why.to_string(), LONGEST))
}

pub(crate) fn bad_value(key: &'static str, value: &str, why: &str) -> BadJson {
    BadJson::Value {
        key,
        value: shown(value, 80),
        why: shown(why, LONGEST),
    }
}

/// What somebody else wrote, for a log and a terminal: at most so many characters, and nothing in it that moves the
/// cursor, begins a line, or looks like what it is not.
pub fn shown(text: &str, longest: usize) -> String {
    let mut chars = text.chars();
    let mut shown = String::new();
    for c in chars.by_ref().take(longest) {
        match c {
            ' '..='~' => shown.push(c),
            _ => shown.extend(c.escape_unicode()),
        }
    }
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields<'de>, M::Error> {
                let mut fields = Fields(Vec::with_capacity(8));
                while let Some((Text(key), value)) = map.next_entry()? {
                    fields.0.push((key, value));
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The members of these names.
struct Named<'n, const N: usize>(&'n [&'n str; N]);

impl<'de, const N: usize> DeserializeSeed<'de> for Named<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, const N: usize> Visitor<'de> for Named<'_, N> {
    type Value = [Option<&'de RawValue>; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        let mut members = [None; N];
        while let Some((Text(key), value)) = map.next_entry::<Text<'_>, &RawValue>()? {
            let place = self
                .0
                .iter()
                .position(|name| name.eq_ignore_ascii_case(&key));
            if let Some(place) = place {
                members[place] = Some(value).filter(|value| value.get() != "null");
            }
        }
        Ok(members)
    }
}

/// A text that is copied only when it has something escaped.
pub(crate) struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

/// Whether arrays and objects are nested deeper than this. Most texts do not have so many of them at all.
fn is_deeper(text: &[u8], limit: usize) -> bool {
    let opening = text.iter().filter(|byte| matches!(byte, b'{' | b'['));
    opening.count() > limit && depth(text) > limit
}

/// The deepest nesting of arrays and objects, found without recursion.
fn depth(text: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_two_spellings_of_a_key_wins() {
        let fields = Fields::read(br#"{"vni":1,"VNI":2}"#, 100).expect("valid");
        assert_eq!(fields.take::<u64>("VNI"), Ok(Some(2)));
        let escaped = Fields::read(br#"{"\u0056NI":3}"#, 100).expect("valid");
        assert_eq!(escaped.take::<u64>("VNI"), Ok(Some(3)));
    }

    #[test]
    fn members_are_found_by_name_and_others_are_passed_over() {
        let read = |text: &str| {
            let members = members(text.as_bytes(), 100, &["VNI", "Port"]);
            members.map(|members| members.map(|value| value.map(|raw| raw.get().to_owned())))
        };
        let found = |vni: Option<&str>, port: Option<&str>| {
            Ok([vni.map(str::to_owned), port.map(str::to_owned)])
        };
        assert_eq!(
            read(r#"{"port":{"a":[1]},"x":2,"vni":1,"VNI":3}"#),
            found(Some("3"), Some(r#"{"a":[1]}"#))
        );
        assert_eq!(read(r#"{"vni":1,"VNI":null}"#), found(None, None));
        assert_eq!(read(r#"{"\u0056NI":3}"#), found(Some("3"), None));
        assert!(read(r#"{"vni":1} {}"#).is_err());
    }

    #[test]
    fn what_others_wrote_is_shown_in_short_and_moves_no_cursor() {
        assert_eq!(
            shown("a\u{1b}[2J\n\u{202e}b", 80),
            r"a\u{1b}[2J\u{a}\u{202e}b"
        );
        assert_eq!(shown(&"x".repeat(90), 80), format!("{}…", "x".repeat(80)));
        let long = format!("{:?}", "x".repeat(50_000));
        let refused = Fields::read(long.as_bytes(), 1 << 20).expect_err("a string");
        assert!(refused.to_string().len() < 300, "{refused}");
    }

    #[test]
    fn nesting_is_counted_outside_of_strings_only() {
        assert_eq!(depth(br#"{"a":"[[[[\"[[","b":[{}]}"#), 3);
        let deep = "[".repeat(10_000);
        let text = format!("{{\"a\":{deep}");
        let refused = Fields::read(text.as_bytes(), 1 << 20).expect_err("too deep");
        assert_eq!(refused, BadJson::TooDeep { limit: DEEPEST });
    }
}
