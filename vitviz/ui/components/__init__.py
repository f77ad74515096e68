"""Parts of pages that answer in the browser: plain JavaScript modules and the Python that registers and feeds them."""
