"""Arrays in, pictures out. Never imports torch, timm or streamlit."""
