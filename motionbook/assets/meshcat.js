const raw = Uint8Array.from(atob(document.getElementById("commands").textContent.trim()), c => c.charCodeAt(0));
const view = new DataView(raw.buffer);
window.viewer = new MeshCat.Viewer(document.getElementById("meshcat-pane"));
for (let at = 0; at < raw.length;) {
  const n = view.getUint32(at, true);
  viewer.handle_command_bytearray(raw.slice(at + 4, at + 4 + n));
  at += 4 + n;
}
const play = viewer.animator;
if (matchMedia("(prefers-reduced-motion: reduce)").matches) play.pause();
addEventListener("keydown", e => {
  if (e.code !== "Space" || e.target.tagName === "INPUT") return;
  e.preventDefault();
  play.playing ? play.pause() : play.play();
});
