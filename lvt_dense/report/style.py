"""The style sheet and the script of the page."""

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2126;--soft:#5b6670;
--line:#d8dee4;--card:#f6f8fa;--accent:#0b63c5;--good:#1a7f37;--bad:#c0362c;
--c0:#0b63c5;--c1:#c2410c;--c2:#1a7f37;--c3:#8b3fc9;--c4:#a16207;--c5:#0e7490;
--c6:#be185d;--c7:#525f6b}
@media (prefers-color-scheme:dark){:root{--bg:#0f1419;--fg:#e3e8ed;
--soft:#9aa7b3;--line:#2d3640;--card:#171d24;--accent:#6cb2ff;--good:#56d364;
--bad:#ff8177;--c0:#6cb2ff;--c1:#ff9e64;--c2:#56d364;--c3:#cf9bff;--c4:#e3b341;
--c5:#5ed3e8;--c6:#ff8fc0;--c7:#a5b1bc}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main,header,nav{max-width:1120px;margin:0 auto;padding:0 16px}
header{padding-top:24px}
h1{font-size:1.6rem;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:40px 0 8px;padding-top:12px;
border-top:1px solid var(--line)}
h3{font-size:1rem;margin:20px 0 6px}
p{margin:6px 0;max-width:75ch}.soft,figcaption{color:var(--soft)}
a{color:var(--accent)}nav{display:flex;flex-wrap:wrap;gap:4px 14px;
padding-top:12px;font-size:.9rem}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(120px,1fr));
gap:10px;margin:16px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:10px 12px}.card b{display:block;font-size:1.4rem}
.card span{color:var(--soft);font-size:.85rem}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.88rem;
font-variant-numeric:tabular-nums}
th,td{padding:4px 10px;text-align:right;border-bottom:1px solid var(--line);
white-space:nowrap}
th:first-child,td:first-child{text-align:left}
th.text{text-align:left}td.text{text-align:left;white-space:pre-wrap;overflow-wrap:anywhere;
min-width:12ch}
th button{all:unset;cursor:pointer;font-weight:600}
th button:focus-visible,select:focus-visible{outline:2px solid var(--accent)}
.chart{width:100%;max-width:640px;display:block;overflow:visible}
svg text{fill:var(--soft);font-size:12px}
@media(max-width:600px){.chart text{font-size:17px}}
.matrix text{font-size:inherit}.matrix rect{fill:var(--accent)}
.matrix text.on{fill:var(--bg)}.matrix text.off{fill:var(--fg)}
.grid{stroke:var(--line)}.mark{stroke:var(--fg);stroke-dasharray:3 3}
.legend{list-style:none;display:flex;flex-wrap:wrap;gap:4px 16px;margin:4px 0;
padding:0;font-size:.85rem}
.legend i{display:inline-block;width:12px;height:12px;border-radius:3px;
margin-right:6px;vertical-align:-1px}
.bar{display:grid;grid-template-columns:minmax(90px,300px) 1fr auto;gap:10px;
align-items:center;margin:4px 0;max-width:840px;font-size:.9rem}
.bar b{background:var(--c0);height:14px;border-radius:3px;min-width:1px}
.columns{display:grid;gap:24px;
grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr))}
.gallery{display:grid;gap:16px;
grid-template-columns:repeat(auto-fill,minmax(min(100%,480px),1fr))}
.crops{display:grid;gap:10px;
grid-template-columns:repeat(auto-fill,minmax(112px,1fr))}
figure{margin:0;background:var(--card);border:1px solid var(--line);
border-radius:8px;padding:8px;min-width:0}
figure img{max-width:100%;display:block;border-radius:4px}
.crops img{width:100%;aspect-ratio:1;object-fit:contain}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:6px}
.pair span{font-size:.8rem;color:var(--soft)}
figcaption{font-size:.82rem;margin-top:6px;overflow-wrap:anywhere}
select{font:inherit;background:var(--card);color:var(--fg);
border:1px solid var(--line);border-radius:6px;padding:4px 8px;max-width:100%}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;
padding:10px;overflow-x:auto;font-size:.82rem}
footer{color:var(--soft);font-size:.85rem;padding:32px 16px;text-align:center}
@media (max-width:560px){.pair{grid-template-columns:1fr}}
"""

SCRIPT = """
'use strict';
const number = (text) => {
  const value = parseFloat(text);
  return Number.isNaN(value) ? null : value;
};
document.querySelectorAll('table.sortable').forEach((table) => {
  table.querySelectorAll('th button').forEach((button, column) => {
    button.addEventListener('click', () => {
      const down = button.dataset.down !== '1';
      button.dataset.down = down ? '1' : '0';
      const body = table.tBodies[0];
      const cell = (row) => row.cells[column].dataset.value
        ?? row.cells[column].textContent;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [cell(a), cell(b)];
        const [p, q] = [number(x), number(y)];
        if (p === null && q === null) return x.localeCompare(y);
        if (p === null) return 1;
        if (q === null) return -1;
        return down ? q - p : p - q;
      });
      body.append(...rows);
    });
  });
});
document.querySelectorAll('select.switch').forEach((select) => {
  const show = () => select.parentElement.querySelectorAll(':scope > .choice')
    .forEach((each, i) => { each.hidden = i !== select.selectedIndex; });
  select.addEventListener('change', show);
  show();
});
document.querySelectorAll('select.sort').forEach((select) => {
  const gallery = document.getElementById(select.dataset.target);
  const order = () => {
    const [key, sign] = select.value.split(' ');
    gallery.append(...[...gallery.children].sort((a, b) => key === 'name'
      ? a.dataset.name.localeCompare(b.dataset.name)
      : Number(sign) * (a.dataset[key] - b.dataset[key])));
  };
  select.addEventListener('change', order);
  order();
});
"""
