"""Reports: what an auditor asks every morning, and attacks found in the trail."""
