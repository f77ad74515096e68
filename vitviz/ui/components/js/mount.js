// The life of a component: one view for each place on the page, and what Streamlit's calls do to it.

// -> a component's default export. View: new View(parentElement), then show(component) at first and whenever Python's data change,
// then stop(). Each call returns its clean-up, and Streamlit runs that of a call it has overtaken by another one: only the
// clean-up of the last call ends the view.
export function mounted(View) {
  const places = new WeakMap(); // the node Streamlit gave us -> { view, calls }
  return (component) => {
    const { parentElement } = component;
    let place = places.get(parentElement);
    if (!place) {
      place = { view: new View(parentElement), calls: 0 };
      places.set(parentElement, place);
    }
    const call = ++place.calls;
    place.view.show(component);
    return () => {
      if (call !== place.calls || places.get(parentElement) !== place) return;
      place.view.stop();
      places.delete(parentElement);
    };
  };
}
