"""The style of report.html: light and dark, from a telephone's width up, and in print."""

STYLE = """
:root{--ink:#1a202c;--quiet:#5a6678;--page:#fff;--soft:#f1f5f9;--rule:#dbe2ea;--normal:#2b6cb0;
--odd:#c53030}
@media (prefers-color-scheme:dark){:root{--ink:#e6ebf2;--quiet:#9aa7b8;--page:#12161c;
--soft:#1d232c;--rule:#333d4a;--normal:#63a4e8;--odd:#f47c7c}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:17px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:48rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.8rem;line-height:1.2;margin:0 0 .3rem;overflow-wrap:anywhere}
h2{font-size:1.25rem;margin:2.6rem 0 .6rem;padding-top:.8rem;border-top:1px solid var(--rule)}
h3{font-size:1rem;margin:0;overflow-wrap:anywhere}
p{margin:.6rem 0}
.quiet{color:var(--quiet);font-size:.9rem}
code,pre{font:.9em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--soft);padding:.8rem;border-radius:.4rem;overflow-x:auto}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(8rem,1fr));gap:.7rem;
margin:1.4rem 0}
.tiles div{background:var(--soft);border-radius:.5rem;padding:.8rem 1rem}
.tiles strong{display:block;font-size:1.6rem;line-height:1.2;font-variant-numeric:tabular-nums}
.tiles span{color:var(--quiet);font-size:.88rem;display:block}
table{border-collapse:collapse;width:100%;margin:.8rem 0;font-size:.95rem;
font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;
border-bottom:1px solid var(--rule);overflow-wrap:break-word}
td:first-child{overflow-wrap:anywhere;min-width:6rem}
th{color:var(--quiet);font-weight:600}
.wide{overflow-x:auto}
@media (max-width:30rem){.wide table{font-size:.82rem}.wide th,.wide td{padding-right:.5rem}
.wide td:first-child{min-width:4rem}}
figure{margin:1rem 0}
figcaption{color:var(--quiet);font-size:.88rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;font-size:.9rem}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:.15em;margin-right:.4em}
.group0{fill:var(--normal);background:var(--normal)}
.group1{fill:var(--odd);background:var(--odd)}
svg .group0,svg .group1{fill-opacity:.6}
.plot{position:relative;height:13rem;margin-top:1.8rem;border-bottom:1px solid var(--quiet)}
.plot svg{width:100%;height:100%;display:block}
.line{position:absolute;top:-1.4rem;bottom:0;border-left:2px dashed var(--ink)}
.line span{position:absolute;top:-.35rem;white-space:nowrap;font-size:.88rem}
.line.right span{left:.4rem}
.line.left span{right:.5rem}
.axis{display:flex;justify-content:space-between;font-size:.88rem;color:var(--quiet)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,21rem),1fr));gap:.9rem}
article{border:1px solid var(--rule);border-radius:.5rem;padding:.9rem 1rem;break-inside:avoid}
article p{margin:0 0 .6rem}
dl{margin:0}
dt{font-size:.9rem;color:var(--quiet);overflow-wrap:anywhere}
dd{margin:0 0 .55rem;overflow-wrap:anywhere}
dd i{display:block;height:.35rem;border-radius:.2rem;background:var(--odd);margin-top:.15rem;
min-width:2px}
.pictures{display:grid;grid-template-columns:repeat(auto-fit,minmax(5rem,1fr));gap:.5rem}
.pictures figure{margin:0}
.pictures img{width:100%;display:block;border-radius:.2rem;outline:1px solid var(--rule)}
@media print{
:root{--ink:#000;--quiet:#444;--page:#fff;--soft:#f3f3f3;--rule:#ccc;--normal:#2b6cb0;--odd:#c53030}
body{font-size:11pt}
main{max-width:none;padding:0}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
h2,h3{break-after:avoid}
figure,.tiles,pre,tr{break-inside:avoid}
pre{white-space:pre-wrap}
}
"""
