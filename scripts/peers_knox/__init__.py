"""The project that django-rest-knox's tests run in, which its source distribution leaves out."""
