//! From slices to ratios: only slices of the same round and class are compared, and only medians are reported.
//!
//! Never a ratio of two means, nor of two medians.

use crate::probe::Class;

/// One kept slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) class: Class,
    /// Nanoseconds a message or round trip.
    pub(crate) nanos: f64,
}

/// Quartiles of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quartiles {
    /// A quarter lies below.
    pub p25: f64,
    /// The median.
    pub p50: f64,
    /// A quarter lies above.
    pub p75: f64,
    /// How many values.
    pub count: usize,
}

impl Quartiles {
    /// Of `values`; `None` when there are none.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |part: f64| {
            let place = part * last as f64;
            let (low, high) = (place.floor() as usize, place.ceil() as usize);
            values[low] + (values[high] - values[low]) * place.fract()
        };
        Some(Self { p25: at(0.25), p50: at(0.5), p75: at(0.75), count: values.len() })
    }
}

/// All samples of one candidate, by round.
pub(crate) type Series = Vec<Option<Sample>>;

/// Pairs of samples of the same round that both have `class`.
pub(crate) fn pairs<'a>(ours: &'a Series, base: &'a Series, class: Class) -> impl Iterator<Item = (f64, f64)> + 'a {
    ours.iter().zip(base).filter_map(move |pair| match pair {
        (Some(a), Some(b)) if a.class == class && b.class == class => Some((a.nanos, b.nanos)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles() {
        assert_eq!(Quartiles::of(vec![]), None);
        let q = Quartiles::of(vec![5.0, 1.0, 3.0, 2.0, 4.0]).expect("five values");
        assert_eq!((q.p25, q.p50, q.p75, q.count), (2.0, 3.0, 4.0, 5));
    }

    #[test]
    fn only_rounds_of_one_class_pair_up() {
        let sample = |class, nanos| Some(Sample { class, nanos });
        let ours = vec![sample(Class::C, 1.0), sample(Class::X, 2.0), None, sample(Class::C, 4.0)];
        let base = vec![sample(Class::C, 10.0), sample(Class::C, 20.0), sample(Class::C, 30.0), sample(Class::C, 40.0)];
        assert_eq!(pairs(&ours, &base, Class::C).collect::<Vec<_>>(), [(1.0, 10.0), (4.0, 40.0)]);
    }
}
