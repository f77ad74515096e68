"""Components: registers the views of `vitviz.frontend` with Streamlit, sends them data and receives choices."""
