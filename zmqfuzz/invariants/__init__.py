"""What must hold: the catalogue of invariants. Each judges a stored Trial or Examination and touches nothing else."""
