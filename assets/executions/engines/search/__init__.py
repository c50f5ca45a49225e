"""The engine `search`: fault localisation, edit operators, and the choice among survivors."""
