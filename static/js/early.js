// Runs before the first paint, so that neither the theme nor the layout changes visibly.
(() => {
  const root = document.documentElement;
  const kept = (storage, name) => {
    try { return globalThis[storage].getItem(name); } catch { return null; }
  };
  root.dataset.theme = kept('localStorage', 'signals-theme') ?? 'system';
  const signedIn = kept('sessionStorage', 'signals-key') || /[#&]code=./.test(location.hash);
  root.dataset.session = signedIn ? 'in' : 'out';
})();
