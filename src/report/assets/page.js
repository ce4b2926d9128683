// Draws a report's charts with uPlot in the page's colours and width, again when either changes.
// What is drawn is decided in charts.ts and lies in the page as JSON.

(() => {
  const HEIGHT = 240;
  const charts = JSON.parse(document.getElementById('charts').textContent);
  /** What is drawn, by the number of its chart. */
  const drawn = new Map();

  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    return (name) => style.getPropertyValue(`--${name}`).trim();
  };

  /** About three digits: 0.95, 1,200, 5e-4. */
  const number = (value) => {
    if (value == null) return '–';
    const size = Math.abs(value);
    if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
      return value
        .toExponential(2)
        .replace(/\.?0+e/, 'e')
        .replace('e+', 'e');
    }
    return value.toLocaleString('en-US', { maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 2 : 4 });
  };

  const ticks = (_plot, values) => values.map((value) => (value == null ? '' : number(value)));

  /**
   * Of a logarithmic axis over few decades 1, 2 and 5 of each,
   * else the powers of ten; over very many every so manyth.
   */
  const logTicks = (plot, values) => {
    const decades = Math.log10(plot.scales.y.max / plot.scales.y.min);
    const wanted = decades <= 2 ? /^[125](\.0+)?e/ : /^1(\.0+)?e/;
    const every = Math.ceil(decades / 7);
    return values.map((value) =>
      wanted.test(value.toExponential(2)) && Math.floor(Math.log10(value) + 1e-9) % every === 0 ? value : null,
    );
  };

  const translucent = (colour, alpha) => {
    const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
    return `rgba(${r}, ${g}, ${b}, ${alpha})`;
  };

  const seriesOptions = (series, colour) => {
    const stroke = colour(`c${series.colour % 8}`);
    const common = { label: series.label, stroke, value: (_plot, value) => number(value), spanGaps: true };
    switch (series.style) {
      case 'faint':
        return { ...common, stroke: translucent(stroke, 0.3), width: 1, points: { show: false } };
      case 'marked':
        return { ...common, width: 2, points: { show: series.x.length <= 60, size: 7, fill: stroke } };
      case 'bars':
        return {
          ...common,
          width: 1,
          fill: translucent(stroke, 0.35),
          points: { show: false },
          paths: uPlot.paths.bars({ size: [0.9, 60] }),
        };
      case 'dots':
        return {
          ...common,
          paths: () => null,
          points: { show: true, size: 6, width: 0, fill: translucent(stroke, 0.5) },
        };
      default:
        return { ...common, width: 2, points: { show: series.x.length === 1, size: 7, fill: stroke } };
    }
  };

  /** y = x over the whole chart. */
  const drawDiagonal = (colour) => (plot) => {
    const { ctx, bbox } = plot;
    const low = Math.max(plot.scales.x.min, plot.scales.y.min);
    const high = Math.min(plot.scales.x.max, plot.scales.y.max);
    if (!(high > low)) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.strokeStyle = colour('soft');
    ctx.setLineDash([6, 6]);
    ctx.beginPath();
    ctx.moveTo(plot.valToPos(low, 'x', true), plot.valToPos(low, 'y', true));
    ctx.lineTo(plot.valToPos(high, 'x', true), plot.valToPos(high, 'y', true));
    ctx.stroke();
    ctx.restore();
  };

  const scales = (chart) => {
    const half = (chart.barWidth ?? 0) / 2;
    const x = {
      time: false,
      range: (_plot, low, high) => {
        if (half > 0) return [low - half, high + half];
        const room = low === high ? 1 : 0;
        if (!chart.diagonal) return [low - room, high + room];
        const pad = (high - low || 1) * 0.05;
        return [low - pad, high + pad];
      },
    };
    if (chart.log) return { x, y: { distr: 3 } };
    if (half > 0) return { x, y: { range: (_plot, _low, high) => [0, high * 1.05 || 1] } };
    return { x, y: {} };
  };

  const axes = (chart, colour, width) => {
    const look = {
      stroke: colour('soft'),
      grid: { stroke: colour('grid'), width: 1 },
      ticks: { show: false },
      font: '12px system-ui, sans-serif',
      labelFont: '12px system-ui, sans-serif',
      labelSize: 18,
    };
    const whole = chart.overSteps
      ? { incrs: [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6] }
      : {};
    return [
      { ...look, ...whole, label: chart.xLabel, size: 30, space: width < 420 ? 44 : 80, values: ticks },
      {
        ...look,
        label: chart.yLabel,
        size: (_plot, values) => 14 + 6.6 * Math.max(2, ...(values ?? []).map((v) => v.length)),
        values: ticks,
        ...(chart.log ? { filter: logTicks, grid: { ...look.grid, filter: logTicks } } : {}),
      },
    ];
  };

  const draw = (index) => {
    const chart = charts[index];
    const place = document.querySelector(`[data-chart="${CSS.escape(chart.id)}"] .plot`);
    const width = Math.floor(place.clientWidth);
    if (width === 0) return;
    drawn.get(index)?.destroy();
    const colour = colours();
    // An empty bar is none: it would be drawn as a line at 0.
    const shown = ({ style, y }) => (style === 'bars' ? y.map((value) => (value === 0 ? null : value)) : y);
    const data = uPlot.join(chart.series.map((series) => [series.x, shown(series)]));
    const options = {
      width,
      height: HEIGHT,
      scales: scales(chart),
      axes: axes(chart, colour, width),
      series: [
        { label: chart.xLabel, value: (_plot, value) => number(value) },
        ...chart.series.map((series) => seriesOptions(series, colour)),
      ],
      cursor: {
        y: false,
        ...(chart.overSteps ? { sync: { key: 'steps' } } : {}),
        points: { size: 8 },
      },
      legend: { markers: { fill: (plot, i) => plot.series[i].fill?.(plot, i) ?? plot.series[i].stroke(plot, i) } },
      hooks: chart.diagonal ? { drawAxes: [drawDiagonal(colour)] } : {},
    };
    drawn.set(index, new uPlot(options, data, place));
  };

  charts.forEach((chart, index) => {
    const place = document.querySelector(`[data-chart="${CSS.escape(chart.id)}"] .plot`);
    // Also what lies in closed details: its width is 0 until they open.
    new ResizeObserver(() => {
      const plot = drawn.get(index);
      if (!plot || Math.abs(plot.width - place.clientWidth) > 1) draw(index);
    }).observe(place);
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
    for (const index of drawn.keys()) draw(index);
  });
})();
