// Draws the plots of the benchmarks' page: bars by category, lines over x, in its light or dark
// colours.
// The page around them: lib/html.ts.

/* global Chart, plots */
(() => {
  const palette = {
    light: ['#2563c9', '#d9730d', '#1a7f4b', '#8d3fc0', '#b3261e', '#0e7c86', '#8a6d00', '#5b6672'],
    dark: ['#7fb0ff', '#ffae5c', '#5fd39a', '#cf9bff', '#ff8a80', '#5fd4de', '#e0c25a', '#9aa5b1'],
  };
  const dark = window.matchMedia('(prefers-color-scheme: dark)');
  const narrow = window.matchMedia('(max-width: 40rem)');
  let charts = [];

  /** Both ends of a long name: the model and the precision. */
  const short = (label) => {
    const most = narrow.matches ? 22 : 44;
    if (label.length <= most) return label;
    return `${label.slice(0, most / 2 - 1)}…${label.slice(-most / 2)}`;
  };

  /** Categories from top to bottom, so that long names are read on a phone too. */
  function bars(plot) {
    const labels = [...new Set(plot.series.flatMap(({ points }) => points.map(({ x }) => String(x))))];
    const datasets = plot.series.map(({ name, points }) => {
      const values = new Map(points.map(({ x, y }) => [String(x), y]));
      return { label: name, data: labels.map((label) => values.get(label) ?? null) };
    });
    return {
      type: 'bar',
      data: { labels, datasets },
      options: {
        indexAxis: 'y',
        scales: {
          x: { title: { display: true, text: plot.unit }, beginAtZero: true },
          y: { ticks: { autoSkip: false, callback: (_, i) => short(labels[i]) }, grid: { display: false } },
        },
      },
      height: 90 + labels.length * Math.max(18, 9 * datasets.length + 8),
    };
  }

  function lines(plot) {
    const type = plot.log ? 'logarithmic' : 'linear';
    const xs = [...new Set(plot.series.flatMap(({ points }) => points.map(({ x }) => x)))];
    return {
      type: 'scatter',
      data: { datasets: plot.series.map(({ name, points }) => ({ label: name, data: points, showLine: true })) },
      options: {
        scales: {
          x: {
            type,
            title: { display: true, text: plot.xUnit ?? '' },
            // What was measured, in place of powers of ten.
            afterBuildTicks: (axis) => {
              axis.ticks = xs.map((value) => ({ value }));
            },
            ticks: { callback: (value) => String(value) },
          },
          y: {
            type,
            title: { display: true, text: plot.unit },
            beginAtZero: !plot.log,
            ticks: { callback: (value) => String(Number(value.toPrecision(3))) },
          },
        },
      },
      height: 320,
    };
  }

  function draw() {
    for (const chart of charts) chart.destroy();
    const style = getComputedStyle(document.documentElement);
    const colours = palette[dark.matches ? 'dark' : 'light'];
    Chart.defaults.color = style.getPropertyValue('--text').trim();
    Chart.defaults.borderColor = style.getPropertyValue('--line').trim();
    charts = plots.map((plot, i) => {
      const canvas = document.getElementById(`plot-${i}`);
      const { height, options, ...config } = plot.kind === 'lines' ? lines(plot) : bars(plot);
      canvas.parentElement.style.height = `${height}px`;
      config.data.datasets.forEach((dataset, d) => {
        dataset.backgroundColor = dataset.borderColor = colours[d % colours.length];
      });
      const legend = { display: plot.series.length > 1, labels: { boxWidth: 12 } };
      return new Chart(canvas, {
        ...config,
        options: { ...options, animation: false, maintainAspectRatio: false, plugins: { legend } },
      });
    });
  }

  draw();
  dark.addEventListener('change', draw);
  narrow.addEventListener('change', draw);
})();
