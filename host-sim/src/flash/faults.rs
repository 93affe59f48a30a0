//! The plan of a power cut: when it strikes and what it leaves behind.
//!
//! A [`Cut`] holds everything that decides what the flash is like afterwards, its seed included, prints as one line
//! and parses from it, so a failing test can print one line that replays it.

use core::fmt;
use core::str::FromStr;

/// What of a word is stored when its programming is interrupted (F1).
///
/// "Its bits" are the bits that programming would have cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TornWord {
    /// None of its bits: the word stays erased. Without weakness the cells never saw the pulse, and the word may be
    /// programmed again.
    None,
    /// All of its bits, but the caller never hears of it.
    All,
    /// The bits of its first so many bytes (all of them when the word is shorter).
    BytePrefix(u8),
    /// A random subset of its bits.
    RandomBits,
}

/// What becomes of the words of a program command other than the interrupted one (F2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TornPage {
    /// The words are programmed in order: those before the interrupted one are whole, those after it erased.
    InOrder,
    /// The chip takes the bytes of one program command in any order: any subset of them is programmed, some only in
    /// part. A command is what one write call has within one program page; on chips whose program page is one word
    /// this is the same as [`TornWord::RandomBits`] with whole bytes among the outcomes.
    Subset,
}

/// How a word reads whose programming or erasing was interrupted (F3, F4), until its sector is erased.
///
/// Unless it is `Off`, a word reads as anything between erased and complete, whatever [`TornWord`] or [`TornErase`]
/// stored: that is what is left when the weakness is taken away again. Programming such a word again:
///
/// | variant | a second program |
/// | --- | --- |
/// | `ReadsErased`, `Flicker`, and `ReadsComplete` once it reads differently | is done, as the caller could not know; the word stays weak (`Counters::weak_programs`) |
/// | `Off`, `Ecc`, and `ReadsComplete` as long as it does | is refused and a violation (with `Off` only if a bit was cleared) |
///
/// A caller that reads back at once what it programmed on top of a weak word may find it right, and wrong later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WeakRead {
    /// As stored, the same every time.
    Off,
    /// Erased at first. Later, from some read on or from the second power-on at the latest, differently on every read.
    ReadsErased,
    /// Complete at first (for an interrupted erase: as before the erase), and later differently on every read.
    ReadsComplete,
    /// Erased, complete or a random mixture of both, differently on every read.
    Flicker,
    /// As an error, [`SimError::Ecc`](super::SimError::Ecc), on every read that touches the word (F4).
    Ecc,
}

/// What an interrupted sector erase leaves (F5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TornErase {
    /// The sector as it was.
    Unchanged,
    /// Erased from its start up to so many 256ths of its length (rounded down to a word), as it was from there on.
    ErasedUpTo(u8),
    /// A random subset of the programmed bits is set again.
    RandomBits,
    /// All bytes read 0xFF, but every word that was not erased before is weak. [`WeakRead::Off`] is taken as
    /// [`WeakRead::ReadsErased`] here.
    WeakBlank,
    /// Erased completely, but the caller never hears of it.
    Complete,
}

/// A planned power cut: at which cut point, and what it leaves.
///
/// A *cut point* is the programming of one word or the erasing of one sector.
///
/// ```
/// use evenkeel_host_sim::flash::{Cut, TornWord, WeakRead};
///
/// let cut = Cut { word: TornWord::BytePrefix(2), weak: WeakRead::Flicker, ..Cut::after(17) };
/// assert_eq!(cut.to_string(), "after=17,word=prefix:2,page=in-order,erase=unchanged,weak=flicker,seed=0");
/// assert_eq!(cut.to_string().parse(), Ok(cut));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cut {
    /// How many cut points pass before the one that is interrupted: 0 interrupts the next.
    pub after: u64,
    /// What is stored when a word is hit.
    pub word: TornWord,
    /// What becomes of the rest of the program command when a word is hit.
    pub page: TornPage,
    /// What is stored when an erase is hit.
    pub erase: TornErase,
    /// How the hit place reads afterwards.
    pub weak: WeakRead,
    /// Decides every random outcome of this cut, later reads of weak words included.
    pub seed: u64,
}

impl Cut {
    /// A plain cut at point `after`: the interrupted operation leaves nothing, and nothing is weak.
    #[must_use]
    pub const fn after(after: u64) -> Self {
        Self {
            after,
            word: TornWord::None,
            page: TornPage::InOrder,
            erase: TornErase::Unchanged,
            weak: WeakRead::Off,
            seed: 0,
        }
    }

    /// The same cut with another seed.
    #[must_use]
    pub const fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Every kind of cut at point `after`, for a chip with words of `word` bytes: each way to tear a word, each way to
    /// tear an erase, each way in which weak words read. An exhaustive test tries all of them at every point.
    ///
    /// A cut hits either a word or an erase; so the ways to tear the one are paired with the ways to tear the other
    /// and not multiplied by them. The list is short (about ten) and its order is fixed.
    #[must_use]
    pub fn all_variants(after: u64, word: usize) -> Vec<Self> {
        let plain = Self::after(after);
        let mut prefixes = vec![1, word / 2, word.saturating_sub(1)];
        prefixes.retain(|&bytes| bytes > 0 && bytes < word);
        prefixes.dedup();
        let mut words = vec![TornWord::None, TornWord::All, TornWord::RandomBits];
        words.extend(prefixes.iter().map(|&bytes| TornWord::BytePrefix(bytes as u8)));
        let erases = [
            TornErase::Unchanged,
            TornErase::Complete,
            TornErase::RandomBits,
            TornErase::ErasedUpTo(128),
            TornErase::ErasedUpTo(1),
            TornErase::ErasedUpTo(255),
        ];
        let stable = (0..words.len().max(erases.len())).map(|index| Self {
            word: words[index % words.len()],
            erase: erases[index % erases.len()],
            ..plain
        });
        let weak = [
            (TornWord::None, TornErase::WeakBlank, WeakRead::ReadsErased),
            (TornWord::All, TornErase::WeakBlank, WeakRead::ReadsComplete),
            (TornWord::RandomBits, TornErase::RandomBits, WeakRead::Flicker),
            (TornWord::RandomBits, TornErase::ErasedUpTo(128), WeakRead::Ecc),
        ]
        .map(|(word, erase, weak)| Self { word, erase, weak, ..plain });
        stable.chain(weak).collect()
    }

    /// [`all_variants`](Self::all_variants) for a chip whose program page is larger than its word: each of them with
    /// the bytes of a command in order, then, where it makes a difference, in any order.
    #[must_use]
    pub fn all_page_variants(after: u64, word: usize) -> Vec<Self> {
        let mut all = Self::all_variants(after, word);
        let any_order =
            [WeakRead::Off, WeakRead::ReadsErased, WeakRead::ReadsComplete, WeakRead::Flicker, WeakRead::Ecc];
        all.extend(any_order.map(|weak| Self {
            word: TornWord::RandomBits,
            page: TornPage::Subset,
            erase: TornErase::RandomBits,
            weak,
            ..Self::after(after)
        }));
        all
    }

    /// A random kind of cut at point `after`, for seeded runs; its own seed is drawn as well.
    #[must_use]
    pub fn random(after: u64, word: usize, rng: &mut crate::rng::Rng) -> Self {
        let cut = *rng.pick(&Self::all_page_variants(after, word));
        cut.with_seed(rng.next_u64())
    }
}

impl fmt::Display for TornWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::All => f.write_str("all"),
            Self::BytePrefix(bytes) => write!(f, "prefix:{bytes}"),
            Self::RandomBits => f.write_str("random"),
        }
    }
}

impl fmt::Display for TornPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InOrder => "in-order",
            Self::Subset => "subset",
        })
    }
}

impl fmt::Display for TornErase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => f.write_str("unchanged"),
            Self::ErasedUpTo(part) => write!(f, "up-to:{part}"),
            Self::RandomBits => f.write_str("random"),
            Self::WeakBlank => f.write_str("weak-blank"),
            Self::Complete => f.write_str("complete"),
        }
    }
}

impl fmt::Display for WeakRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::ReadsErased => "erased",
            Self::ReadsComplete => "complete",
            Self::Flicker => "flicker",
            Self::Ecc => "ecc",
        })
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "after={},word={},page={},erase={},weak={},seed={}",
            self.after, self.word, self.page, self.erase, self.weak, self.seed
        )
    }
}

/// The text is not a cut as [`Cut`] prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseCutError;

impl fmt::Display for ParseCutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a cut: expected after=N,word=...,page=...,erase=...,weak=...,seed=N")
    }
}

impl core::error::Error for ParseCutError {}

impl FromStr for Cut {
    type Err = ParseCutError;

    /// Reads what `Display` prints. Fields may come in any order; one that is missing is as in [`Cut::after`]`(0)`.
    fn from_str(text: &str) -> Result<Self, ParseCutError> {
        let mut cut = Self::after(0);
        for field in text.trim().split(',') {
            let (name, value) = field.split_once('=').ok_or(ParseCutError)?;
            match name {
                "after" => cut.after = number(value)?,
                "seed" => cut.seed = number(value)?,
                "word" => cut.word = word(value)?,
                "page" => cut.page = page(value)?,
                "erase" => cut.erase = erase(value)?,
                "weak" => cut.weak = weak(value)?,
                _ => return Err(ParseCutError),
            }
        }
        Ok(cut)
    }
}

fn number<T: FromStr>(value: &str) -> Result<T, ParseCutError> {
    value.parse().map_err(|_| ParseCutError)
}

fn word(value: &str) -> Result<TornWord, ParseCutError> {
    Ok(match value.split_once(':') {
        Some(("prefix", bytes)) => TornWord::BytePrefix(number(bytes)?),
        None if value == "none" => TornWord::None,
        None if value == "all" => TornWord::All,
        None if value == "random" => TornWord::RandomBits,
        _ => return Err(ParseCutError),
    })
}

fn page(value: &str) -> Result<TornPage, ParseCutError> {
    match value {
        "in-order" => Ok(TornPage::InOrder),
        "subset" => Ok(TornPage::Subset),
        _ => Err(ParseCutError),
    }
}

fn erase(value: &str) -> Result<TornErase, ParseCutError> {
    Ok(match value.split_once(':') {
        Some(("up-to", part)) => TornErase::ErasedUpTo(number(part)?),
        None if value == "unchanged" => TornErase::Unchanged,
        None if value == "random" => TornErase::RandomBits,
        None if value == "weak-blank" => TornErase::WeakBlank,
        None if value == "complete" => TornErase::Complete,
        _ => return Err(ParseCutError),
    })
}

fn weak(value: &str) -> Result<WeakRead, ParseCutError> {
    match value {
        "off" => Ok(WeakRead::Off),
        "erased" => Ok(WeakRead::ReadsErased),
        "complete" => Ok(WeakRead::ReadsComplete),
        "flicker" => Ok(WeakRead::Flicker),
        "ecc" => Ok(WeakRead::Ecc),
        _ => Err(ParseCutError),
    }
}
