(function () {
  'use strict';
  // Titles of marks become one tooltip that appears at once; without this script the browser's own are shown.
  var tip = document.createElement('div');
  tip.className = 'tip';
  tip.setAttribute('role', 'tooltip');
  tip.hidden = true;
  document.body.appendChild(tip);
  document.querySelectorAll('svg title').forEach(function (title) {
    var mark = title.parentNode;
    mark.dataset.tip = title.textContent;
    mark.setAttribute('aria-label', title.textContent);
    title.remove();
  });
  function show(event) {
    var mark = event.target.closest ? event.target.closest('[data-tip]') : null;
    tip.hidden = !mark;
    if (!mark) return;
    tip.textContent = mark.dataset.tip;
    var width = document.documentElement.clientWidth;
    var x = Math.max(8, Math.min(event.clientX + 14, width - tip.offsetWidth - 8));
    var y = event.clientY - tip.offsetHeight - 12;
    tip.style.transform = 'translate(' + x + 'px,' + (y < 8 ? event.clientY + 18 : y) + 'px)';
  }
  document.addEventListener('pointerover', show);
  document.addEventListener('pointermove', show);
  document.addEventListener('scroll', function () { tip.hidden = true; }, true);
  document.querySelectorAll('button[data-copy]').forEach(function (button) {
    var from = document.getElementById(button.dataset.copy);
    button.hidden = false;
    button.addEventListener('click', function () {
      function said(text) {
        button.textContent = text;
        setTimeout(function () { button.textContent = 'Copy'; }, 2000);
      }
      function select() {
        var range = document.createRange();
        range.selectNodeContents(from);
        var selection = getSelection();
        selection.removeAllRanges();
        selection.addRange(range);
        said('Selected');
      }
      if (navigator.clipboard) {
        navigator.clipboard.writeText(from.textContent).then(function () { said('Copied'); }, select);
      } else {
        select();
      }
    });
  });
})();
