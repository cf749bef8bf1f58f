//! The figure: how many of the revocations had seen their last acceptance by when.

use std::path::Path;

use plotters::prelude::*;

use crate::page::Report;

const SIZE: (u32, u32) = (860, 420);
/// The axis begins here, milliseconds: it is logarithmic.
const LEAST: f64 = 0.5;
const MOST: f64 = 5_000.0;

/// Draws it as SVG.
pub fn draw(report: &Report, path: &Path) {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE).unwrap();
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "From a revocation to the last acceptance",
            ("sans-serif", 20),
        )
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(52)
        .build_cartesian_2d((LEAST..MOST).log_scale(), 0.0..100.0)
        .unwrap();
    chart
        .configure_mesh()
        .x_desc("milliseconds after the revocation was sent (logarithmic)")
        .y_desc("% of revocations")
        .max_light_lines(0)
        .draw()
        .unwrap();
    let colours = [
        RGBColor(0, 114, 178),
        RGBColor(213, 94, 0),
        RGBColor(0, 158, 115),
        RGBColor(204, 121, 167),
    ];
    for ((kind, seen), colour) in report.series.iter().zip(colours) {
        let all = seen.last_acceptance.all();
        let steps = all.iter().enumerate().flat_map(|(number, span)| {
            let at = (span.as_secs_f64() * 1_000.0).clamp(LEAST, MOST);
            [
                (at, share(number, all.len())),
                (at, share(number + 1, all.len())),
            ]
        });
        let line = colour.stroke_width(2);
        chart
            .draw_series(LineSeries::new(steps, line))
            .unwrap()
            .label(kind.to_string())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], line));
    }
    let bound = report.bound_ms();
    chart
        .draw_series(LineSeries::new(
            [(bound, 0.0), (bound, 100.0)],
            BLACK.stroke_width(1),
        ))
        .unwrap()
        .label(format!("F·κ, {bound:.0} ms after the commit"))
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], BLACK.stroke_width(1)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .border_style(RGBColor(180, 180, 180))
        .draw()
        .unwrap();
    root.present().unwrap();
}

#[expect(clippy::cast_precision_loss, reason = "a plot is no ledger")]
fn share(number: usize, of: usize) -> f64 {
    number as f64 * 100.0 / of as f64
}
