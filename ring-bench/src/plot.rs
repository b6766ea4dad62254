//! Plots as SVG files whose text stays text.

use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;
use std::path::Path;

/// One line of a plot.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Rising in the first.
    pub points: Vec<(f64, f64)>,
    /// Drawn so that it stands out.
    pub strong: bool,
}

/// What the horizontal axis is.
#[derive(Clone, Copy, Debug)]
pub enum Axis {
    /// 1 is 90 %, 2 is 99 %, and so on.
    Nines,
    /// A count or a number of bytes, logarithmic.
    Log(&'static str),
}

const COLORS: [RGBColor; 6] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 50, 32),
    RGBColor(0, 130, 80),
    RGBColor(150, 90, 180),
    RGBColor(200, 130, 0),
    RGBColor(90, 90, 90),
];

/// Draws `curves` with a logarithmic vertical axis.
///
/// # Errors
/// In words for people: the file cannot be written, or there is nothing to draw.
pub fn draw(file: &Path, title: &str, axis: Axis, unit: &str, curves: &[Curve]) -> Result<(), String> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let range = |pick: fn(&(f64, f64)) -> f64| {
        points().map(pick).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
    };
    let ((left, right), (low, high)) = (range(|p| p.0), range(|p| p.1));
    if !(left.is_finite() && low.is_finite() && low > 0.0) {
        return Err(format!("{}: nothing to draw", file.display()));
    }
    let root = SVGBackend::new(file, (860, 520)).into_drawing_area();
    let y = (low / 1.5, high * 1.5);
    match axis {
        Axis::Nines => {
            // Between two whole nines there is no short name.
            let name = |x: &f64| match x.round() as i32 {
                _ if (x - x.round()).abs() > 1e-6 => String::new(),
                0 => "0 %".to_owned(),
                1 => "90 %".to_owned(),
                2 => "99 %".to_owned(),
                nines => format!("99.{} %", "9".repeat(nines as usize - 2)),
            };
            chart(&root, title, 0.0..right.max(1.0), y, ("percentile", unit), curves, &name)
        }
        Axis::Log(label) => {
            let x = (left..right.max(left * 2.0)).log_scale();
            chart(&root, title, x, y, (label, unit), curves, &|x| count(*x))
        }
    }
    .map_err(|why| format!("cannot draw {}: {why}", file.display()))
}

/// 4096 as 4Ki, whole thousands as they are.
fn count(value: f64) -> String {
    let whole = value.round();
    for (size, letter) in [(1u64 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")] {
        if whole >= size as f64 && whole % size as f64 == 0.0 {
            return format!("{}{letter}", whole / size as f64);
        }
    }
    if whole >= 1.0 { format!("{whole}") } else { format!("{value:.3}") }
}

fn chart<X>(
    root: &DrawingArea<SVGBackend<'_>, Shift>,
    title: &str,
    x: X,
    y: (f64, f64),
    labels: (&str, &str),
    curves: &[Curve],
    name: &dyn Fn(&f64) -> String,
) -> Result<(), String>
where
    X: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
{
    let text = |why: DrawingAreaErrorKind<_>| format!("{why}");
    root.fill(&WHITE).map_err(text)?;
    let mut chart = ChartBuilder::on(root)
        .caption(title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(70)
        .build_cartesian_2d(x, (y.0..y.1).log_scale())
        .map_err(text)?;
    chart
        .configure_mesh()
        .x_desc(labels.0)
        .y_desc(labels.1)
        .x_label_formatter(name)
        .x_labels(8)
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 15))
        .light_line_style(BLACK.mix(0.06))
        .draw()
        .map_err(text)?;
    for (curve, color) in curves.iter().zip(COLORS.iter().cycle()) {
        let style = color.stroke_width(if curve.strong { 4 } else { 2 });
        let line = LineSeries::new(curve.points.iter().copied(), style);
        chart
            .draw_series(line)
            .map_err(text)?
            .label(curve.name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    }
    let legend = SeriesLabelPosition::UpperLeft;
    chart
        .configure_series_labels()
        .position(legend)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 14))
        .draw()
        .map_err(text)?;
    root.present().map_err(text)
}
