/*
 * What the page at /ui does: it asks /v1/models what there is, and the models for an answer. All
 * that comes from a server goes into text nodes. Its look is page.css.
 */
(() => {
  const at = (id) => document.getElementById(id);
  const base = location.pathname.replace(/\/ui\/?$/, '');
  const [text, pair, key, answers, problem] = ['text', 'pair', 'key', 'answers', 'problem'].map(at);
  const STORED = 'fused-lora-key';
  key.value = sessionStorage.getItem(STORED) ?? '';

  function element(name, className, ...children) {
    const made = document.createElement(name);
    if (className) made.className = className;
    made.append(...children);
    return made;
  }

  async function ask(path, body, signal) {
    const headers = { ...(key.value && { authorization: `Bearer ${key.value}` }) };
    const options = body && { method: 'POST', body: JSON.stringify(body) };
    if (body) headers['content-type'] = 'application/json';
    const response = await fetch(base + path, { ...options, headers, signal });
    const answer = await response.json();
    if (response.ok) return answer;
    if (response.status === 401) {
      at('access').hidden = false;
      key.focus();
    }
    throw new Error(answer.error ?? response.statusText);
  }

  function tell(error) {
    problem.hidden = error === undefined;
    problem.textContent = error?.message ?? '';
  }

  /** The names of models that are chosen, with what they give. */
  let models = [];
  const chosen = () => models.filter(({ box }) => box.checked);

  async function loadModels() {
    const { data } = await ask('/v1/models');
    const before = new Set(chosen().map(({ id }) => id));
    for (const label of at('models').querySelectorAll('label')) label.remove();
    models = data.map(({ id, task, parent }, i) => {
      const box = element('input');
      box.type = 'checkbox';
      box.checked = before.size > 0 ? before.has(id) : i === 0;
      const label = element('label', '', box, ` ${id}`);
      label.title = parent ? `${task}, on ${parent}` : task;
      at('models').append(label);
      return { id, task, box };
    });
    at('server').textContent =
      `${data.length} ${data.length === 1 ? 'model' : 'models'}${data[0]?.parent ? ` on ${data[0].parent}` : ''}`;
    at('access').hidden = true;
    tell();
  }

  function scoreRow({ label, score }, most) {
    const bar = element('i');
    // By the style sheet's rules alone no style attribute is allowed; this sets a property.
    bar.style.width = `${Math.max(0, Math.min(1, Math.abs(score) / most)) * 100}%`;
    const shown = most === 1 ? `${(100 * score).toFixed(1)} %` : score.toPrecision(4);
    return element(
      'div',
      'score',
      element('span', '', label),
      element('div', 'track', bar),
      element('span', '', shown),
    );
  }

  function hueOf(name) {
    let hash = 7;
    for (const letter of name) hash = (hash * 31 + letter.codePointAt(0)) % 360;
    return hash;
  }

  /** A text with its entities marked; their places count code points. */
  function marked(given, entities) {
    const points = [...given];
    const line = element('p', 'words');
    let done = 0;
    for (const { entity_group: group, start, end, score } of entities) {
      line.append(points.slice(done, start).join(''));
      const mark = element('mark', '', points.slice(start, end).join(''), element('small', '', group));
      mark.style.setProperty('--h', hueOf(group));
      mark.title = `${group}, ${(100 * score).toFixed(1)} %`;
      line.append(mark);
      done = end;
    }
    line.append(points.slice(done).join(''));
    return line;
  }

  function shown({ id, task }, answer, given) {
    const card = element('article', '', element('h2', '', id));
    if (task === 'token-classification') card.append(marked(given, answer));
    else if (task === 'embedding') {
      const first = answer[0].slice(0, 8).map((value) => value.toFixed(4));
      card.append(element('p', 'numbers', `${answer[0].length} numbers: ${first.join(', ')} …`));
    } else {
      const most = task === 'regression' ? Math.max(1e-9, ...answer.map(({ score }) => Math.abs(score))) : 1;
      for (const one of answer) card.append(scoreRow(one, task === 'regression' && most === 1 ? 1.0001 : most));
    }
    return card;
  }

  async function askModel({ id, task }, signal) {
    if (task === 'embedding') return ask('/embed', { model: id, inputs: text.value }, signal);
    const inputs = pair.value !== '' && task !== 'token-classification' ? [text.value, pair.value] : text.value;
    return ask('/predict', { model: id, inputs }, signal);
  }

  let running;
  async function answer() {
    running?.abort();
    running = new AbortController();
    const { signal } = running;
    const wanted = chosen();
    try {
      if (models.length === 0) await loadModels();
      if (wanted.length === 0) throw new Error('Choose a model.');
      if (text.value.trim() === '') throw new Error('Type a text.');
      const started = performance.now();
      const given = text.value;
      const got = await Promise.all(wanted.map((model) => askModel(model, signal)));
      at('time').textContent = `${(performance.now() - started).toFixed(1)} ms`;
      answers.replaceChildren(...wanted.map((model, i) => shown(model, got[i], given)));
      tell();
    } catch (error) {
      if (error.name !== 'AbortError') tell(error);
    }
  }

  at('form').addEventListener('submit', (event) => {
    event.preventDefault();
    sessionStorage.setItem(STORED, key.value);
    answer();
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      answer();
    }
  });
  const whileTyping = () => {
    if (at('live').checked && text.value.trim() !== '') answer();
  };
  text.addEventListener('input', whileTyping);
  pair.addEventListener('input', whileTyping);
  key.addEventListener('change', () => loadModels().catch(tell));
  loadModels().catch(tell);
})();
