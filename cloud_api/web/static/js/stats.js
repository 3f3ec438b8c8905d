// Draws the charts of a page of statistics with Apache ECharts, which is fetched when the first of them
// comes into sight. The table under each chart holds the same; without script it is all there is.
// The page's policy allows no inline style: tooltips are drawn, not written as HTML.

import { word } from './api.js';

const library = import.meta.url && document.querySelector('script[data-echarts]')?.dataset.echarts;
const drawn = new Map();
let fetching = null;

function charts() {
  fetching ??= new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = library;
    script.onload = () => done(window.echarts);
    script.onerror = () => failed(new Error(word('network')));
    document.head.append(script);
  });
  return fetching;
}

const style = () => getComputedStyle(document.documentElement);
const token = (name) => style().getPropertyValue(`--${name}`).trim();
const palette = () => [1, 2, 3, 4, 5].map((n) => token(`chart-${n}`)).concat(token('ink-3'));
const heat = () => [1, 2, 3, 4, 5, 6, 7].map((n) => token(`heat-${n}`));
const narrow = () => matchMedia('(max-width: 767px)').matches;

function yuan(fen) {
  const whole = Math.abs(fen) / 100;
  return `${fen < 0 ? '−' : ''}¥${whole.toLocaleString('en-US', { maximumFractionDigits: whole % 1 ? 2 : 0 })}`;
}

function short(fen) {
  const whole = fen / 100;
  return Math.abs(whole) >= 10000 ? `${Math.round(whole / 1000)}k` : whole.toLocaleString('en-US', { maximumFractionDigits: 0 });
}

const UNITS = { fen: yuan, per_cent: (n) => `${n}%`, count: (n) => String(n) };

function text() {
  return { fontFamily: getComputedStyle(document.body).fontFamily, color: token('ink-2'), fontSize: 12 };
}

function common() {
  return {
    animation: false,
    color: palette(),
    textStyle: text(),
    aria: { enabled: true, decal: { show: matchMedia('(forced-colors: active), (prefers-contrast: more)').matches } },
    tooltip: { renderMode: 'richText', confine: true, backgroundColor: token('surface'), borderWidth: 1, borderColor: token('line'), textStyle: { ...text(), color: token('ink') } },
  };
}

function axes(data, format) {
  const label = { color: token('ink-3'), fontSize: 12, hideOverlap: true };
  const few = data.x.length <= 8 ? { interval: 0, hideOverlap: false, fontSize: narrow() ? 11 : 12 } : {};
  return {
    grid: { left: 4, right: 8, top: 34, bottom: 4, containLabel: true },
    xAxis: { type: 'category', data: data.x, axisTick: { show: false }, axisLine: { lineStyle: { color: token('line') } }, axisLabel: { ...label, ...few } },
    yAxis: { type: 'value', minInterval: data.unit === 'count' ? undefined : 1, axisLabel: { ...label, formatter: format }, splitLine: { lineStyle: { color: token('line') } } },
  };
}

const legend = () => ({ top: 0, left: 0, itemWidth: 12, itemHeight: 12, itemGap: 14, type: 'scroll', textStyle: text() });

function told(data) {
  const show = UNITS[data.unit] ?? UNITS.count;
  return { ...common().tooltip, trigger: 'axis', axisPointer: { type: 'shadow' }, valueFormatter: (n) => (n === null || n === undefined ? '—' : show(n)) };
}

function before(data) {
  if (!data.before || !data.before.values.some(Boolean)) return [];
  const ink = token('ink');
  return [{ name: data.before.name, type: 'line', data: data.before.values, color: ink, lineStyle: { color: ink, type: 'dotted', width: 2 }, itemStyle: { color: token('surface'), borderColor: ink, borderWidth: 2 }, symbol: 'circle', symbolSize: 8, z: 5 }];
}

const DRAW = {
  bar(data) {
    const top = data.series.length - 1;
    return {
      ...common(), ...axes(data, data.unit === 'fen' ? short : undefined), tooltip: told(data),
      legend: data.series.length > 1 || data.before ? legend() : undefined,
      series: [...data.series.map((one, n) => ({ name: one.name, type: 'bar', stack: data.stack ? 'all' : undefined, data: one.values, barMaxWidth: 40, itemStyle: { borderColor: token('surface'), borderWidth: data.stack ? 1 : 0, borderRadius: data.stack && n < top ? 0 : [5, 5, 0, 0] } })), ...before(data)],
    };
  },
  line(data) {
    return {
      ...common(), ...axes(data, data.unit === 'fen' ? short : undefined), tooltip: told(data),
      legend: data.series.length > 1 || data.before ? legend() : undefined,
      series: [...data.series.map((one) => ({ name: one.name, type: 'line', data: one.values, connectNulls: false, symbol: 'circle', symbolSize: 6, lineStyle: { width: 2.5 } })), ...before(data)],
    };
  },
  pie(data) {
    const total = data.parts.reduce((sum, one) => sum + one.value, 0);
    const low = narrow();
    return {
      ...common(),
      tooltip: { ...common().tooltip, trigger: 'item', valueFormatter: (n) => `${n} ${data.unit}（${((100 * n) / total).toFixed(1)}%）` },
      legend: { orient: 'vertical', right: 0, top: 'middle', itemWidth: 12, itemHeight: 12, textStyle: text(), formatter: (name) => `${name}  ${((100 * (data.parts.find((one) => one.name === name)?.value ?? 0)) / total).toFixed(1)}%` },
      title: { text: String(total), subtext: data.unit, left: low ? '27%' : '29%', top: '40%', textAlign: 'center', itemGap: 2, textStyle: { ...text(), color: token('ink'), fontSize: 20, fontWeight: 600 }, subtextStyle: text() },
      series: [{ type: 'pie', radius: ['44%', '68%'], center: [low ? '28%' : '30%', '50%'], data: data.parts, label: { show: false }, itemStyle: { borderColor: token('surface'), borderWidth: 2 } }],
    };
  },
  rows(data) {
    const label = { color: token('ink'), fontSize: 13 };
    return {
      ...common(), tooltip: told(data),
      grid: { left: 4, right: 100, top: 4, bottom: 4, containLabel: true },
      xAxis: { type: 'value', max: (range) => Math.max(range.max, 10), show: false },
      yAxis: { type: 'category', inverse: true, data: data.x, axisTick: { show: false }, axisLine: { show: false }, axisLabel: { ...label, width: 110, overflow: 'truncate' } },
      series: [{ name: data.series[0].name, type: 'bar', data: data.series[0].values, barMaxWidth: 14, showBackground: true, backgroundStyle: { color: token('sunk'), borderRadius: 7 }, itemStyle: { borderRadius: 7 }, label: { show: true, position: 'right', ...label, formatter: (one) => `${one.value}%  ${data.notes?.[one.dataIndex] ?? ''}` } }],
    };
  },
  heat(data) {
    const low = narrow();
    const turned = low ? data.cells.map(([x, y, n]) => [y, x, n]) : data.cells;
    const label = { color: token('ink-3'), fontSize: 12, hideOverlap: true };
    const axis = { axisTick: { show: false }, axisLine: { show: false }, splitArea: { show: false } };
    const hours = { type: 'category', data: data.x, ...axis, axisLabel: { ...label, interval: low ? 1 : 0 } };
    const days = { type: 'category', data: data.y, ...axis, axisLabel: { ...label, interval: 0 }, inverse: !low };
    const steps = heat();
    const pieces = steps.map((color, n) => ({ gte: Math.round((100 * n) / 7), lt: n < 6 ? Math.round((100 * (n + 1)) / 7) : 101, color, label: n === 0 ? '0%' : n === 6 ? '100%' : ' ' }));
    return {
      ...common(),
      grid: { left: 4, right: 4, top: 34, bottom: 4, containLabel: true },
      tooltip: { ...common().tooltip, formatter: (one) => { const [a, b, n] = one.value; return `${low ? data.y[a] : data.y[b]} ${low ? data.x[b] : data.x[a]}:00\n${n}%`; } },
      xAxis: low ? { ...days, position: 'top' } : hours,
      yAxis: low ? { ...hours, inverse: true } : days,
      visualMap: { type: 'piecewise', pieces, orient: 'horizontal', top: 0, right: 0, itemWidth: 16, itemHeight: 12, itemGap: 3, textGap: 4, textStyle: text(), showLabel: true, hoverLink: false, selectedMode: false, show: !low },
      series: [{ type: 'heatmap', data: turned, itemStyle: { borderColor: token('surface'), borderWidth: 2, borderRadius: 4 }, label: { show: true, fontSize: 11, fontWeight: 600, color: token('on-jade'), formatter: (one) => (one.value[2] >= 86 ? String(one.value[2]) : '') } }],
    };
  },
};

async function draw(box) {
  const data = JSON.parse(box.dataset.chartData);
  try {
    const echarts = await charts();
    let one = drawn.get(box);
    if (!one) {
      one = echarts.init(box, null, { renderer: 'canvas' });
      drawn.set(box, one);
    }
    one.setOption(DRAW[box.dataset.chart](data), true);
    box.classList.add('is-drawn');
  } catch (problem) {
    box.querySelector('.chart-wait').textContent = problem.message;
    box.closest('.chart').querySelector('details')?.setAttribute('open', '');
  }
}

const seen = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (!entry.isIntersecting) continue;
    seen.unobserve(entry.target);
    draw(entry.target);
  }
}, { rootMargin: '200px' });
for (const box of document.querySelectorAll('[data-chart]')) seen.observe(box);

const resized = new ResizeObserver((entries) => { for (const entry of entries) drawn.get(entry.target)?.resize(); });
for (const box of document.querySelectorAll('[data-chart]')) resized.observe(box);
for (const query of ['(prefers-color-scheme: dark)', '(max-width: 767px)']) {
  matchMedia(query).addEventListener('change', () => { for (const box of drawn.keys()) draw(box); });
}

// --- the table as a file -------------------------------------------------------------------------
function cell(words) {
  const safe = /^[=+\-@\t\r]/.test(words) ? `'${words}` : words;
  return `"${safe.replaceAll('"', '""')}"`;
}

document.addEventListener('click', (event) => {
  const button = event.target.closest('[data-chart-csv]');
  if (!button) return;
  const table = document.querySelector(`[data-chart-table="${button.dataset.chartCsv}"]`);
  const lines = [...table.rows].map((row) => [...row.cells].map((one) => cell(one.textContent.trim())).join(','));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob(['\ufeff', lines.join('\r\n')], { type: 'text/csv' }));
  link.download = `${table.caption.textContent}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
});

document.addEventListener('change', (event) => {
  if (event.target.matches('[data-submit]')) event.target.form.requestSubmit();
});
