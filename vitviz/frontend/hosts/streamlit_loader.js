// The script of a Streamlit component: it imports the modules of the front end and retries if that fails. Streamlit runs it from a
// blob URL, relative to which nothing can be imported, so the modules have absolute URLs. Python adds one line before it:
//   const given = { folder, modules, view, words };

const PAUSES_MS = [300, 1000, 3000];

let attempts = 0; // part of the URL, because a browser may cache the failure of a URL
let loading = null; // Promise of the component

async function load() {
  for (let attempt = 0; ; attempt++) {
    const folder = `${new URL(given.folder, location.origin).href}${attempts ? `.${attempts}` : ""}/`;
    if (!attempts++) preload(folder);
    try {
      const found = [import(`${folder}hosts/streamlit.js`), import(`${folder}views/${given.view}.js`)];
      const [{ component }, { mount }] = await Promise.all(found);
      return component(mount, given.words);
    } catch (error) {
      if (attempt >= PAUSES_MS.length) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSES_MS[attempt]));
    }
  }
}

// Requests all modules in parallel. Otherwise each level of imports would wait for the one before.
function preload(folder) {
  for (const name of given.modules) {
    const link = document.createElement("link");
    link.rel = "modulepreload";
    link.href = folder + name;
    document.head.append(link);
  }
}

const failures = new WeakMap(); // node -> Promise that resolves when the visitor asks for another attempt

function asked(parent) {
  if (!failures.has(parent)) {
    const { failed, missing_part: what, reason_network: reason, again } = given.words;
    const promise = new Promise((resolve) => {
      const [note, button] = [document.createElement("p"), document.createElement("button")];
      note.className = "failure";
      note.setAttribute("role", "alert");
      button.textContent = again;
      button.onclick = () => {
        note.remove();
        failures.delete(parent);
        resolve();
      };
      note.append(failed.replace("{what}", what).replace("{reason}", reason), " ", button);
      parent.append(note);
    });
    failures.set(parent, promise);
  }
  return failures.get(parent);
}

export default async (streamlit) => {
  for (;;) {
    const attempt = (loading ??= load());
    const component = await attempt.catch(() => null);
    if (component) return component(streamlit);
    if (loading === attempt) loading = null;
    await asked(streamlit.parentElement);
  }
};
